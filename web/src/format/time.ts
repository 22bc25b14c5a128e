/** Times and durations as text. */

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A duration with two units at most: `0.4 s`, `12 s`, `3 min 04 s`, `2 h 05 min`, `3 d 4 h`. */
export function formatDuration(milliseconds: number): string {
  const time = Math.max(0, milliseconds);
  if (time > 0 && time < 50) return '<0.1 s';
  if (time < 9_950) return `${(time / SECOND).toFixed(1)} s`;
  const seconds = Math.round(time / SECOND);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return pair(seconds, 60, 'min', 's');
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1440) return pair(minutes, 60, 'h', 'min');
  return pair(Math.floor(minutes / 60), 24, 'd', 'h');
}

function pair(small: number, size: number, big: string, unit: string): string {
  const rest = String(small % size);
  return `${Math.floor(small / size)} ${big} ${unit === 'h' ? rest : rest.padStart(2, '0')} ${unit}`;
}

/** How long something took, or has taken until now; nothing before its start. */
export function elapsed(
  started: string | null | undefined,
  finished: string | null | undefined,
  now: number,
): string | undefined {
  if (!started) return undefined;
  const end = finished ? Date.parse(finished) : now;
  return formatDuration(end - Date.parse(started));
}

/** `just now`, `5 min ago`, `3 h ago`, `2 days ago`. */
export function formatAgo(moment: string, now: number): string {
  const past = now - Date.parse(moment);
  if (past < MINUTE) return 'just now';
  if (past < HOUR) return `${Math.floor(past / MINUTE)} min ago`;
  if (past < DAY) return `${Math.floor(past / HOUR)} h ago`;
  const days = Math.floor(past / DAY);
  return days === 1 ? 'yesterday' : `${days} days ago`;
}

/** Local date and time to the second: `2026-03-01 14:05:09`. */
export function formatMoment(moment: string): string {
  const time = new Date(moment);
  const two = (value: number) => String(value).padStart(2, '0');
  const date = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  return `${date} ${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
}

/** Hours with as many digits as matter: `0.04 h`, `3.2 h`, `1,204 h`. */
export function formatHours(hours: number): string {
  const digits = hours < 0.1 ? 3 : hours < 10 ? 2 : hours < 100 ? 1 : 0;
  return `${hours.toLocaleString('en', { maximumFractionDigits: digits })} h`;
}

/** `in 3 h 05 min`, or `any moment` for what should have been. */
export function formatUntil(moment: string, now: number): string {
  const left = Date.parse(moment) - now;
  return left < 1000 ? 'any moment' : `in ${formatDuration(left)}`;
}
