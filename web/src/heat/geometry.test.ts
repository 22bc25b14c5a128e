import { expect, test } from 'vitest';
import { fit, labelled, placeAt, step } from './geometry';

test('few cells are large, many stay large enough to hit', () => {
  expect(fit(4, 3, 900)).toEqual({ columns: 4, rows: 3, cellWidth: 76, cellHeight: 32 });
  expect(fit(500, 200, 900)).toMatchObject({ cellWidth: 8, cellHeight: 8 });
});

test('a point is in its cell, and beyond the edge in none, or in the nearest when dragging', () => {
  const geometry = { columns: 3, rows: 2, cellWidth: 10, cellHeight: 20 };
  expect(placeAt(geometry, 29, 39)).toEqual({ i: 2, j: 1 });
  expect(placeAt(geometry, 30, 0)).toBeUndefined();
  expect(placeAt(geometry, 99, -5, true)).toEqual({ i: 2, j: 0 });
});

test('steps end at the edge', () => {
  const geometry = { columns: 3, rows: 2, cellWidth: 10, cellHeight: 20 };
  expect(step(geometry, { i: 2, j: 0 }, 1, 0)).toEqual({ i: 2, j: 0 });
  expect(step(geometry, { i: 2, j: 0 }, -Infinity, 1)).toEqual({ i: 0, j: 1 });
});

test('labels are left out where they would touch', () => {
  expect(labelled(3, 40, 30)).toEqual([0, 1, 2]);
  expect(labelled(9, 10, 30)).toEqual([0, 3, 6]);
});
