import { expect, test } from 'vitest';
import { STAGE_KINDS, type StageView } from '../api/types';
import { layoutStages, pathThrough } from './layout';

const stages = STAGE_KINDS.map((kind, id): StageView => ({
  id,
  kind,
  state: 'waiting',
  attempts: 0,
}));
const size = { width: 100, height: 40 };

test('every stage lies after what it depends on, and none upon another', () => {
  const placed = layoutStages(stages, size, 'LR');
  const x = Object.fromEntries(placed.stages.map(({ stage, x }) => [stage.kind, x]));
  for (const { from, to } of placed.edges) expect(x[from.kind]).toBeLessThan(x[to.kind] ?? 0);
  for (const a of placed.stages) {
    for (const b of placed.stages) {
      if (a === b) continue;
      const apart = Math.abs(a.x - b.x) >= size.width || Math.abs(a.y - b.y) >= size.height;
      expect(apart, `${a.stage.kind} and ${b.stage.kind}`).toBe(true);
    }
  }
  expect(placed.edges).toHaveLength(8);
});

test('from top to bottom it is narrow enough for a phone', () => {
  expect(layoutStages(stages, { width: 104, height: 44 }, 'TB').width).toBeLessThan(360);
});

test('a run whose later stages are not planned yet is laid out, too', () => {
  const placed = layoutStages(stages.slice(0, 2), size, 'LR');
  expect(placed.edges.map(({ from, to }) => [from.kind, to.kind])).toEqual([['prepare', 'train']]);
});

test('a line goes from its first point to its last', () => {
  expect(
    pathThrough([
      { x: 0, y: 0 },
      { x: 5, y: 5 },
    ]),
  ).toBe('M0,0L5,5');
  expect(
    pathThrough([
      { x: 0, y: 0 },
      { x: 5, y: 5 },
      { x: 9, y: 9 },
    ]),
  ).toBe('M0,0Q5,5 9,9');
});
