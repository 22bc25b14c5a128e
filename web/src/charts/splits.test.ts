import { expect, test } from 'vitest';
import { logSplits } from './splits';

test('less than a decade has even steps', () => {
  expect(logSplits(0.58, 0.74)).toEqual([0.6, 0.65, 0.7]);
  expect(logSplits(2, 9.5)).toEqual([2, 4, 6, 8]);
});

test('a few decades have 1, 2 and 5 in each', () => {
  expect(logSplits(0.9, 60)).toEqual([1, 2, 5, 10, 20, 50]);
  expect(logSplits(4e-5, 3e-3)).toEqual([5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3]);
});

test('many decades have powers of ten, not too many of them', () => {
  expect(logSplits(1e-3, 1e3)).toEqual([1e-3, 1e-2, 1e-1, 1, 10, 100, 1000]);
  expect(logSplits(1e-20, 1e20).length).toBeLessThanOrEqual(9);
});

test('a scale that reaches zero has none', () => {
  expect(logSplits(0, 5)).toEqual([]);
});
