import { expect, test } from 'vitest';
import type { Curve } from '../api/types';
import { curveColumns, positionOf } from './curve';

const curve = (step: number[], value: Curve['value'], smooth: Curve['value'] = []): Curve => ({
  recorded: step.length,
  step,
  tokens: step.map((each) => each * 100),
  seconds: step.map((each) => each / 2),
  value,
  smooth,
  total_steps: 100,
});

test('runs with different steps share one x column', () => {
  const columns = curveColumns(
    [
      { curve: curve([1, 3], [5, 4], [5, 4.5]), validation: [{ step: 3, loss: 4.2 }] },
      { curve: curve([2], [6]), validation: [] },
    ],
    'step',
    { x: false, y: false },
  );
  expect(columns[0]).toEqual([1, 2, 3]);
  expect(columns.slice(1).map((column) => [...column].map((value) => value ?? null))).toEqual([
    [5, null, 4],
    [5, null, 4.5],
    [null, null, 4.2],
    [null, 6, null],
    [null, null, null],
    [null, null, null],
  ]);
});

test('what a logarithmic scale has no place for is left open', () => {
  const columns = curveColumns(
    [{ curve: curve([1, 2, 3], [0, 'nan', 2]), validation: [] }],
    'step',
    {
      x: true,
      y: true,
    },
  );
  expect(columns[1]).toEqual([null, null, 2]);
});

test('a checkpoint lies between the points around its step', () => {
  expect(positionOf(curve([1, 3], [5, 4]), 'tokens', 2)).toBe(200);
  expect(positionOf(curve([1, 3], [5, 4]), 'step', 2)).toBe(2);
  expect(positionOf(curve([1, 3], [5, 4]), 'time', 9)).toBe(1.5);
});
