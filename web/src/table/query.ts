/** The choices of the runs table, as the address and the daemon have them. */
import type { Column } from '../api/types';

/** A column to sort by. */
export interface SortKey {
  column: string;
  reversed: boolean;
}

/** `-val_loss,width` */
export function parseSort(text: string | undefined): SortKey[] {
  return (text ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '' && part !== '-')
    .map((part) =>
      part.startsWith('-')
        ? { column: part.slice(1), reversed: true }
        : { column: part, reversed: false },
    );
}

/** The reverse of {@link parseSort}; nothing if nothing is sorted by. */
export function formatSort(keys: readonly SortKey[]): string | undefined {
  const text = keys.map(({ column, reversed }) => (reversed ? '-' : '') + column).join(',');
  return text === '' ? undefined : text;
}

/**
 * What a click on a column's head makes of the order: rising, then falling, then not at all. `add` keeps the other
 * keys, which come first.
 */
export function toggleSort(keys: readonly SortKey[], column: string, add: boolean): SortKey[] {
  const old = keys.find((key) => key.column === column);
  const next = !old
    ? { column, reversed: false }
    : old.reversed
      ? undefined
      : { column, reversed: true };
  if (!add) return next ? [next] : [];
  if (!old) return [...keys, { column, reversed: false }];
  return keys.flatMap((key) => (key.column !== column ? [key] : next ? [next] : []));
}

/** Whether two queries make the same choices, in whatever order. */
export function isSameView(one: string, other: string): boolean {
  return inOrder(one) === inOrder(other);
}

/** A list of names in the address; nothing if there is none. */
export function parseList(text: string | undefined): string[] | undefined {
  if (text === undefined) return undefined;
  return text.split(',').filter((name) => name !== '');
}

/** Columns with one more or one less, in the order in which the study has them. */
export function toggleColumn(
  shown: readonly string[],
  name: string,
  all: readonly Column[],
): string[] {
  const wanted = shown.includes(name) ? shown.filter((each) => each !== name) : [...shown, name];
  const place = new Map(all.map((column, index) => [column.name, index]));
  return wanted.sort((a, b) => (place.get(a) ?? 0) - (place.get(b) ?? 0));
}

function inOrder(query: string): string {
  const choices = new URLSearchParams(query);
  choices.sort();
  return choices.toString();
}
