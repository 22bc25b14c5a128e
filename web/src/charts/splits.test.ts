import { expect, test } from 'vitest';
import { labelsWithin, logSplits } from './splits';

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

test('a short axis has fewer lines, but some', () => {
  expect(logSplits(0.9, 60, 4)).toEqual([1, 10]);
  expect(logSplits(0.58, 0.74, 3)).toEqual([0.6, 0.65, 0.7]);
  expect(logSplits(2, 9.5, 3)).toEqual([5]);
  expect(logSplits(1e-3, 1e3, 4)).toEqual([1e-3, 1e-1, 10, 1000]);
  for (let low = 1.5; low < 1e4; low *= 2.3) {
    for (let high = low * 1.1; high < low * 1e6; high *= 2.9) {
      const count = logSplits(low, high, 3).length;
      expect(count, `${low} to ${high}`).toBeGreaterThan(0);
      expect(count, `${low} to ${high}`).toBeLessThanOrEqual(3);
    }
  }
});

test('as many labels as fit, not too many, and never fewer than three', () => {
  expect([NaN, 40, 92, 4000].map((length) => labelsWithin(length, 20))).toEqual([3, 3, 4, 9]);
});
