import { expect, test } from 'vitest';
import { elapsed, formatAgo, formatDuration, formatHours, formatUntil } from './time';

const AT = '2026-03-01T12:00:00Z';
const T = Date.parse(AT);

test('durations have two units at most', () => {
  expect(formatDuration(12)).toBe('<0.1 s');
  expect(formatDuration(412)).toBe('0.4 s');
  expect(formatDuration(12_400)).toBe('12 s');
  expect(formatDuration(59_700)).toBe('1 min 00 s');
  expect(formatDuration(184_000)).toBe('3 min 04 s');
  expect(formatDuration(3_599_900)).toBe('1 h 00 min');
  expect(formatDuration(7_500_000)).toBe('2 h 05 min');
  expect(formatDuration(76 * 3_600_000)).toBe('3 d 4 h');
});

test('clocks that disagree never give a negative duration', () => {
  expect(formatDuration(-5000)).toBe('0.0 s');
});

test('what did not start took no time, what runs is measured until now', () => {
  expect(elapsed(null, null, T)).toBeUndefined();
  expect(elapsed(AT, null, T + 30_000)).toBe('30 s');
  expect(elapsed(AT, '2026-03-01T12:00:20Z', T + 30_000)).toBe('20 s');
});

test('the past is told in the largest unit', () => {
  expect(formatAgo(AT, T + 20_000)).toBe('just now');
  expect(formatAgo(AT, T + 5 * 60_000)).toBe('5 min ago');
  expect(formatAgo(AT, T + 26 * 3_600_000)).toBe('yesterday');
  expect(formatAgo(AT, T + 72 * 3_600_000)).toBe('3 days ago');
});

test('hours keep the digits that matter', () => {
  expect([0.0123, 3.214, 45.67, 1204.4].map(formatHours)).toEqual([
    '0.012 h',
    '3.21 h',
    '45.7 h',
    '1,204 h',
  ]);
});

test('what is to come is told from now', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  expect(formatUntil('2026-01-01T03:05:00Z', now)).toBe('in 3 h 05 min');
  expect(formatUntil('2025-12-31T00:00:00Z', now)).toBe('any moment');
});
