import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createBatch } from './batch';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('the first item goes on at once, those that follow quickly go on together', () => {
  const groups: number[][] = [];
  const batch = createBatch<number>(500, (items) => groups.push(items));
  batch.add(1);
  vi.advanceTimersByTime(0);
  expect(groups).toEqual([[1]]);
  for (let item = 2; item <= 20; item += 1) {
    batch.add(item);
    vi.advanceTimersByTime(20);
  }
  expect(groups).toEqual([[1]]);
  vi.advanceTimersByTime(500);
  expect(groups).toEqual([[1], Array.from({ length: 19 }, (_, index) => index + 2)]);
});

test('a steady flow is handed on at once and then twice a second', () => {
  let groups = 0;
  const batch = createBatch<number>(500, () => (groups += 1));
  for (let time = 0; time < 5000; time += 10) {
    batch.add(time);
    vi.advanceTimersByTime(10);
  }
  expect(groups).toBe(11);
});

test('what was cleared is never handed on', () => {
  const flush = vi.fn();
  const batch = createBatch<number>(500, flush);
  batch.add(1);
  batch.clear();
  vi.advanceTimersByTime(1000);
  expect(flush).not.toHaveBeenCalled();
});
