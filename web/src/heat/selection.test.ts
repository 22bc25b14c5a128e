import { expect, test } from 'vitest';
import type { HeatMap } from '../api/types';
import {
  box,
  columns,
  contains,
  extent,
  filterOf,
  inWords,
  readSelection,
  rows,
  writeSelection,
} from './selection';

/** Three widths by two depths; the last cell is empty. */
const map: HeatMap = {
  x: { name: 'width', values: [64, 128, 256] },
  y: { name: 'depth', values: [1, 2] },
  value: { name: 'state', kind: 'state', group: 'state', varies: true },
  runs: [2, 2, 2, 2, 2, 0],
  run: [null, null, null, null, null, null],
  state: ['done', 'done', 'done', 'done', 'done', null],
  mixed: {},
  mean: [],
  se: [],
};

test('a box is the same from any of its corners', () => {
  const wanted = { xs: [64, 128], ys: [1, 2] };
  expect(box(map, { i: 0, j: 0 }, { i: 1, j: 1 })).toEqual(wanted);
  expect(box(map, { i: 1, j: 0 }, { i: 0, j: 1 })).toEqual(wanted);
  expect(contains(map, wanted, { i: 1, j: 1 })).toBe(true);
  expect(contains(map, wanted, { i: 2, j: 1 })).toBe(false);
});

test('only cells with runs count', () => {
  expect(extent(map, columns(map, 2))).toEqual({ cells: 1, runs: 2 });
  expect(extent(map, rows(map, 1))).toEqual({ cells: 2, runs: 4 });
});

test('a selection is a filter that joins the one of the page', () => {
  expect(filterOf(map, columns(map, 1, 2), ' seed=0 ')).toBe('seed=0 width=128,256 depth=1,2');
  expect(filterOf(map, box(map, { i: 0, j: 1 }, { i: 0, j: 1 }), '')).toBe('width=64 depth=2');
});

test('a selection is said in words', () => {
  expect(inWords(map, columns(map, 0, 1))).toBe('width 64 to 128, every depth');
  expect(inWords(map, rows(map, 1))).toBe('every width, depth 2');
});

test('an address keeps a selection by value, so that it survives a larger grid', () => {
  const text = writeSelection(columns(map, 1));
  const larger = { ...map, x: { name: 'width', values: [32, 64, 128, 256] } };
  expect(readSelection(larger, text)).toEqual({ xs: [128], ys: [1, 2] });
  expect(readSelection(map, '512;1')).toBeUndefined();
  expect(readSelection(map, 'nonsense')).toBeUndefined();
  expect(readSelection(map, undefined)).toBeUndefined();
});
