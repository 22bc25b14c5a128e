import { expect, test } from 'vitest';
import type { Column } from '../api/types';
import { formatSort, parseSort, toggleColumn, toggleSort } from './query';

test('an order survives the address', () => {
  for (const text of ['-val_loss,width', 'state', undefined]) {
    expect(formatSort(parseSort(text))).toBe(text);
  }
});

test('clicks on a head sort rising, falling, not at all', () => {
  const click = (text: string | undefined, add = false) =>
    formatSort(toggleSort(parseSort(text), 'width', add));
  expect(click(undefined)).toBe('width');
  expect(click('width')).toBe('-width');
  expect(click('-width')).toBeUndefined();
  expect(click('-val_loss')).toBe('width');
});

test('with Shift the other keys stay before it', () => {
  const click = (text: string) => formatSort(toggleSort(parseSort(text), 'width', true));
  expect(click('-val_loss')).toBe('-val_loss,width');
  expect(click('-val_loss,width')).toBe('-val_loss,-width');
  expect(click('-val_loss,-width,depth')).toBe('-val_loss,depth');
});

test('a column comes back at its place', () => {
  const all = ['run', 'depth', 'width', 'state'].map((name) => ({ name }) as Column);
  expect(toggleColumn(['run', 'state'], 'depth', all)).toEqual(['run', 'depth', 'state']);
  expect(toggleColumn(['run', 'depth', 'state'], 'depth', all)).toEqual(['run', 'state']);
});
