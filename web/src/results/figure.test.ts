import { expect, test } from 'vitest';
import { withColours } from './figure';

test('a drawing that leaves the page keeps its colours', () => {
  const svg =
    '<svg viewBox="0 0 1 1"><path stroke="var(--line, #e2e2de)" fill="var(--accent)"/></svg>';
  const colours = new Map([
    ['line', '#123456'],
    ['surface', '#fff'],
  ]);
  expect(withColours(svg, colours)).toBe(
    '<svg viewBox="0 0 1 1"><rect width="100%" height="100%" fill="#fff"/>' +
      '<path stroke="#123456" fill="var(--accent)"/></svg>',
  );
});
