/** Which page an address shows. */

export type Route =
  | { page: 'studies' }
  | { page: 'study'; name: string }
  | { page: 'run'; id: number }
  | { page: 'missing'; path: string };

/** The page of a path; anything that is not a page of ours is `missing`. */
export function parseRoute(path: string): Route {
  const parts = path.split('/').filter((part) => part !== '');
  const [first, second] = parts;
  if (first === undefined) return { page: 'studies' };
  if (parts.length === 2 && second !== undefined) {
    if (first === 'studies') {
      const name = decode(second);
      if (name !== undefined) return { page: 'study', name };
    }
    if (first === 'runs' && /^[1-9]\d{0,14}$/.test(second)) {
      return { page: 'run', id: Number(second) };
    }
  }
  return { page: 'missing', path };
}

/** The path of a study's page. */
export function studyPath(name: string): string {
  return `/studies/${encodeURIComponent(name)}`;
}

/** The path of a run's page. */
export function runPath(id: number): string {
  return `/runs/${id}`;
}

/** One choice of a query. */
export function readChoice(query: string, key: string): string | undefined {
  return new URLSearchParams(query).get(key) ?? undefined;
}

/** A query with one choice set, or left out when it has its default value. */
export function withChoice(query: string, key: string, value: string | undefined): string {
  const choices = new URLSearchParams(query);
  if (value === undefined) choices.delete(key);
  else choices.set(key, value);
  const text = choices.toString();
  return text === '' ? '' : `?${text}`;
}

function decode(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}
