/** What the configurations of several runs differ in. */
import type { Compared } from '../api/types';

/** Runs that the daemon compares at once. */
export const MOST_COMPARED = 20;

/** What runs are called beside each other: where an identifier does not tell them apart, their studies do. */
export function namesOf(runs: readonly Pick<Compared, 'identifier' | 'studies'>[]): string[] {
  return runs.map(({ identifier, studies }) => {
    const same = runs.filter((other) => other.identifier === identifier);
    return same.length > 1 && studies[0] !== undefined ? `${studies[0]} ${identifier}` : identifier;
  });
}

export interface Setting {
  /** Path within the configuration: `training.learning_rate`. */
  path: string;
  /** One value per run, as text; empty where it has none. */
  values: string[];
  differs: boolean;
}

/** Every setting of the runs, in the order of their configurations. */
export function settingsOf(runs: readonly Compared[]): Setting[] {
  const flat = runs.map((run) => flatten(run.config));
  const paths = [...new Set(flat.flatMap((leaves) => [...leaves.keys()]))];
  return paths.map((path) => {
    const values = flat.map((leaves) => leaves.get(path) ?? '');
    return { path, values, differs: new Set(values).size > 1 };
  });
}

function flatten(
  value: unknown,
  path = '',
  leaves = new Map<string, string>(),
): Map<string, string> {
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) {
    for (const [key, inner] of Object.entries(value)) {
      flatten(inner, path === '' ? key : `${path}.${key}`, leaves);
    }
  } else if (value !== null && value !== undefined) {
    leaves.set(path, Array.isArray(value) ? value.join(', ') : String(value as string | number));
  }
  return leaves;
}
