import { expect, test } from 'vitest';
import { formatBytes, formatNumber, percent, plural, toNumber } from './number';

test('numbers keep five significant digits and whole ones stay whole', () => {
  expect(formatNumber(3_397_440)).toBe('3,397,440');
  expect(formatNumber(0.123456789)).toBe('0.12346');
  expect(formatNumber(27.7)).toBe('27.7');
  expect(formatNumber(-0.5)).toBe('−0.5');
  expect(formatNumber(0)).toBe('0');
  expect(formatNumber(2.167, true)).toBe('2.1670');
  expect(formatNumber(12, true)).toBe('12');
});

test('very small and very large numbers are written with an exponent', () => {
  expect(formatNumber(0.000079373)).toBe('7.9373e−5');
  expect(formatNumber(5e-5)).toBe('5e−5');
  expect(formatNumber(123_456_789.5)).toBe('1.2346e8');
});

test('infinities and nan come as names and are shown as such', () => {
  expect(toNumber('-inf')).toBe(-Infinity);
  expect(formatNumber('inf')).toBe('∞');
  expect(formatNumber('-inf')).toBe('−∞');
  expect(formatNumber('nan')).toBe('NaN');
});

test('100 % is reached only at the end, and an unknown total gives no percentage', () => {
  expect(percent(999, 1000)).toBe(99);
  expect(percent(1000, 1000)).toBe(100);
  expect(percent(0.29, 1)).toBe(29);
  expect(percent(5, 0)).toBeUndefined();
});

test('one of a thing is singular', () => {
  expect(plural(1, 'run')).toBe('1 run');
  expect(plural(1600, 'run')).toBe('1,600 runs');
});

test('bytes are shown in binary units', () => {
  expect(formatBytes(0)).toBe('0 B');
  expect(formatBytes(65_536)).toBe('64.0 KiB');
  expect(formatBytes(300 * 1024 * 1024)).toBe('300 MiB');
});
