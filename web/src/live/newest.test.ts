import { expect, test } from 'vitest';
import { createNewest } from './newest';

test('only the question that was asked last is the newest', () => {
  const newest = createNewest();
  const first = newest();
  expect(first()).toBe(true);
  const second = newest();
  expect([first(), second()]).toEqual([false, true]);
});
