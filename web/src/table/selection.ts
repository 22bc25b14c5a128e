/** Which rows of the runs table are selected: they stay so on other pages of it and under other filters. */
import type { TableRow } from '../api/types';

/** Rows by {@link keyOf}. */
export type Selection = ReadonlyMap<string, TableRow>;

/** What a row is, whatever is shown of it. */
export function keyOf(row: TableRow): string {
  return row.filter;
}

/** The selection with these rows in it, or without them. */
export function withRows(selection: Selection, rows: readonly TableRow[], on: boolean): Selection {
  const next = new Map(selection);
  for (const row of rows) {
    if (on) next.set(keyOf(row), row);
    else next.delete(keyOf(row));
  }
  return next;
}

/** All runs that a filter lets through, on whatever page they are. */
export function everyRun(filter: string, runs: number): Selection {
  return new Map([[filter, { run: null, runs, filter, cells: [] }]]);
}

/** The selected rows of one run each: of others, the filter may mean other runs at another checkpoint. */
export function singleRuns(selection: Selection): Selection {
  return new Map([...selection].filter(([, row]) => row.run != null));
}

/** Runs in all selected rows. */
export function countRuns(selection: Selection): number {
  return [...selection.values()].reduce((sum, row) => sum + row.runs, 0);
}

/** Ids of the runs, where every row is one run. */
export function idsOf(selection: Selection): number[] | undefined {
  const ids = [...selection.values()].map((row) => row.run);
  return ids.every((id) => id != null) ? ids : undefined;
}

/** A filter that selects just these runs; rows of several runs must have been looked up, unless there is only one. */
export function filterOf(
  selection: Selection,
  looked: readonly number[] | undefined,
): string | undefined {
  const [only] = selection.values();
  if (selection.size === 1 && only) return only.filter;
  const ids = idsOf(selection) ?? looked;
  return ids && ids.length > 0 ? `id=${ids.join(',')}` : undefined;
}
