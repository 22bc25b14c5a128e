/** Numbers as text. */

const integers = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

/**
 * A number as it came over the wire: JSON has no infinities, so that they travel as `"inf"`, `"-inf"`
 * and `"nan"`.
 */
export function toNumber(wire: number | string): number {
  if (typeof wire === 'number') return wire;
  if (wire === 'inf') return Infinity;
  if (wire === '-inf') return -Infinity;
  return NaN;
}

/**
 * Whole numbers in full with separators, others to five significant digits; `padded` keeps zeros at
 * the end, so that the figures of a column line up.
 */
export function formatNumber(wire: number | string, padded = false): string {
  const value = toNumber(wire);
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '−∞';
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e15) return minus(integers.format(value));
  // Five digits are whole numbers here, and read better with separators.
  if (size >= 1e4 && size < 1e7) return minus(integers.format(value));
  const text = size < 1e-3 || size >= 1e7 ? value.toExponential(4) : value.toPrecision(5);
  return minus(tidy(text, padded));
}

/** A whole number with separators. */
export function formatCount(value: number): string {
  return integers.format(value);
}

/** `1 run`, `2 runs`. */
export function plural(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;
}

/** Whole percent, rounded down so that 100 % means all of it; nothing while the total is unknown. */
export function percent(done: number, total: number): number | undefined {
  if (total <= 0) return undefined;
  // A share such as 0.29 is a little less than it says.
  return Math.min(100, Math.floor((100 * done) / total + 1e-12));
}

/** Bytes in binary units. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits)} ${units[unit] ?? ''}`;
}

function tidy(text: string, padded: boolean): string {
  const [mantissa = text, exponent] = text.split('e');
  const short = !padded && mantissa.includes('.') ? mantissa.replace(/\.?0+$/, '') : mantissa;
  return exponent === undefined ? short : `${short}e${exponent.replace('+', '')}`;
}

function minus(text: string): string {
  return text.replaceAll('-', '−');
}
