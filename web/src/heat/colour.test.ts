import { expect, test } from 'vitest';
import { css, inkOn, ramp, scaleOf } from './colour';

test('the ramp goes from dark to light without a step back', () => {
  const light = Array.from({ length: 101 }, (_, index) => ramp(index / 100)).map(
    ([red, green, blue]) => 0.2126 * red + 0.7152 * green + 0.0722 * blue,
  );
  expect(light.every((value, index) => index === 0 || value >= (light[index - 1] ?? 0))).toBe(true);
  expect(css(ramp(-1))).toBe(css(ramp(0)));
  expect(inkOn(ramp(0))).toBe('#ffffff');
  expect(inkOn(ramp(1))).toBe('#000000');
});

test('a scale reaches from the lowest to the highest value', () => {
  const scale = scaleOf([1, 100, NaN, Infinity], false);
  expect(scale?.share(1)).toBe(0);
  expect(scale?.share(100)).toBe(1);
  expect(scale?.share(Infinity)).toBeUndefined();
});

test('a logarithmic scale leaves out what has no logarithm', () => {
  const scale = scaleOf([0, 1, 10, 100], true);
  expect(scale?.low).toBe(1);
  expect(scale?.share(10)).toBeCloseTo(0.5);
  expect(scale?.share(0)).toBeUndefined();
});

test('a single value lies in the middle, and nothing has no scale', () => {
  expect(scaleOf([3, 3], false)?.share(3)).toBe(0.5);
  expect(scaleOf([], false)).toBeUndefined();
});
