import { expect, test } from 'vitest';
import type { TableRow } from '../api/types';
import {
  countRuns,
  everyRun,
  filterOf,
  idsOf,
  keyOf,
  singleRuns,
  type Selection,
} from './selection';

const row = (run: number | null, runs: number, filter: string): TableRow => ({
  run,
  runs,
  filter,
  cells: [],
});
const select = (...rows: TableRow[]): Selection => new Map(rows.map((each) => [keyOf(each), each]));

test('single runs are selected by their ids', () => {
  const selection = select(row(3, 1, 'id=3'), row(7, 1, 'id=7'));
  expect(idsOf(selection)).toEqual([3, 7]);
  expect(filterOf(selection, undefined)).toBe('id=3,7');
});

test('one row of several runs is selected by its filter, several by ids that were looked up', () => {
  const wide = row(null, 3, 'width=64');
  expect(filterOf(select(wide), undefined)).toBe('width=64');
  const both = select(wide, row(9, 1, 'id=9'));
  expect(countRuns(both)).toBe(4);
  expect(filterOf(both, undefined)).toBeUndefined();
  expect(filterOf(both, [1, 2, 3, 9])).toBe('id=1,2,3,9');
});

test('only single runs stay selected where a filter may mean others', () => {
  const one = row(3, 1, 'id=3');
  expect([...singleRuns(select(one, row(null, 2, 'width=64'))).values()]).toEqual([one]);
  expect(singleRuns(everyRun('val_loss<5', 9)).size).toBe(0);
});

test('nothing selected is never everything', () => {
  expect(filterOf(select(), [])).toBeUndefined();
});

test('all runs that fit are selected by the filter itself, also by an empty one', () => {
  expect(filterOf(everyRun('state=failed', 500), undefined)).toBe('state=failed');
  expect(filterOf(everyRun('', 9), undefined)).toBe('');
  expect(countRuns(everyRun('', 9))).toBe(9);
});
