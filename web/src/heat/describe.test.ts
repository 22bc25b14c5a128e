import { expect, test } from 'vitest';
import type { HeatMap } from '../api/types';
import { describe } from './describe';

const none = {
  waiting: 0,
  ready: 0,
  queued: 0,
  running: 0,
  done: 0,
  failed: 0,
  cancelled: 0,
  skipped: 0,
};
const states: HeatMap = {
  x: { name: 'width', values: [64, 128, 256, 512] },
  y: { name: 'weight_decay', values: [0.1] },
  value: { name: 'train', kind: 'state', group: 'state', varies: true },
  runs: [1, 3, 3, 0],
  run: [7, null, null, null],
  state: ['running', 'failed', 'done', null],
  mixed: { '1': { ...none, done: 2, failed: 1 } },
  mean: [],
  se: [],
};

test('a cell of states says which, and how many of each', () => {
  expect(describe(states, { i: 0, j: 0 })).toBe('weight decay 0.1, width 64: train running');
  expect(describe(states, { i: 1, j: 0 })).toBe(
    'weight decay 0.1, width 128: train 2 done, 1 failed',
  );
  expect(describe(states, { i: 2, j: 0 })).toBe(
    'weight decay 0.1, width 256: train done in all 3 runs',
  );
  expect(describe(states, { i: 3, j: 0 })).toBe('weight decay 0.1, width 512: no run');
});

test('a cell of numbers says the mean, its error and of how many', () => {
  const numbers: HeatMap = {
    ...states,
    value: { name: 'val_loss', kind: 'number', group: 'measure', varies: true },
    state: [],
    mixed: {},
    mean: [3.25, 3.125, null, null],
    se: [null, 0.01, null, null],
  };
  expect(describe(numbers, { i: 0, j: 0 })).toBe('weight decay 0.1, width 64: val_loss 3.25');
  expect(describe(numbers, { i: 1, j: 0 })).toBe(
    'weight decay 0.1, width 128: val_loss 3.125 ± 0.01, mean of 3 runs',
  );
  expect(describe(numbers, { i: 2, j: 0 })).toBe(
    'weight decay 0.1, width 256: no val_loss yet in 3 runs',
  );
});
