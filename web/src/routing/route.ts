/** Which page an address shows. */

/** The sub-pages of a study; the first one is shown where the address names none. */
export const STUDY_TABS = ['grid', 'runs', 'results', 'failures'] as const;
export type StudyTab = (typeof STUDY_TABS)[number];

export type Route =
  | { page: 'overview' }
  | { page: 'study'; name: string; tab: StudyTab }
  | { page: 'run'; id: number }
  | { page: 'compare' }
  | { page: 'failures' }
  | { page: 'missing'; path: string };

/** The page of a path; anything that is not a page of ours is `missing`. */
export function parseRoute(path: string): Route {
  const [first, second, third, ...more] = path.split('/').filter((part) => part !== '');
  const missing: Route = { page: 'missing', path };
  if (first === undefined) return { page: 'overview' };
  if (more.length > 0) return missing;
  if (first === 'studies' && second !== undefined) {
    const name = decode(second);
    const tab = STUDY_TABS.find((known) => known === (third ?? STUDY_TABS[0]));
    return name !== undefined && tab ? { page: 'study', name, tab } : missing;
  }
  if (third !== undefined) return missing;
  if (first === 'runs' && second !== undefined && /^[1-9]\d{0,14}$/.test(second)) {
    return { page: 'run', id: Number(second) };
  }
  if (second === undefined && (first === 'compare' || first === 'failures')) return { page: first };
  return missing;
}

/** What distinguishes pages: tabs of one study share its page, and choices in the query never make a new one. */
export function pageKey(route: Route): string {
  if (route.page === 'study') return studyPath(route.name);
  if (route.page === 'run') return runPath(route.id);
  return route.page === 'missing' ? route.path : route.page;
}

/** The path of a study's page, with choices for its query. */
export function studyPath(
  name: string,
  tab: StudyTab = STUDY_TABS[0],
  choices: Record<string, string> = {},
): string {
  const path = `/studies/${encodeURIComponent(name)}${tab === STUDY_TABS[0] ? '' : `/${tab}`}`;
  return (
    path +
    Object.entries(choices).reduce((query, [key, value]) => withChoice(query, key, value), '')
  );
}

/** The path of a run's page. */
export function runPath(id: number): string {
  return `/runs/${id}`;
}

/** The path of the page that compares runs. */
export function comparePath(ids: readonly number[]): string {
  return `/compare?runs=${ids.join(',')}`;
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
