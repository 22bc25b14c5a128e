import { expect, test } from 'vitest';
import type { MeasureRow, RunDetail, RunSummary } from '../api/types';
import { lossColumns, stepOf, validationPoints } from './loss';
import { alignGroups, defaultMeasure, runOf, scatterData, widthOf } from './scatter';

const row = (model: string, val_loss: number, cdnv?: number | 'inf'): MeasureRow => ({
  model,
  values: cdnv === undefined ? { val_loss } : { val_loss, cdnv },
});

test('widths come from identifiers, also with a name before them', () => {
  expect(widthOf('02x0768_01d07@0')).toBe(768);
  expect(widthOf('TinyStories-12x1024_10L@9')).toBe(1024);
  expect(widthOf('unknown')).toBeUndefined();
});

test('a row belongs to the run of its identifier', () => {
  const runs = [{ id: 5, identifier: '02x0768_01d07' }] as RunSummary[];
  expect(runOf('02x0768_01d07@0', runs)?.id).toBe(5);
  expect(runOf('02x0768_01d08@0', runs)).toBeUndefined();
});

test('points are grouped by width, and rows that cannot be drawn are counted', () => {
  const rows = [
    row('01x0064_01d00@0', 3, 0.2),
    row('01x0032_01d00@0', 4, 0.3),
    row('01x0032_01d01@0', 4, 'inf'),
    row('01x0032_01d02@0', 4),
    row('01x0032_01d03@0', 2, -1),
  ];
  const linear = scatterData(rows, [], 'val_loss', 'cdnv', false);
  expect(linear.groups.map(({ width, points }) => [width, points.length])).toEqual([
    [32, 2],
    [64, 1],
  ]);
  expect(linear.left).toBe(2);
  expect(scatterData(rows, [], 'val_loss', 'cdnv', true).left).toBe(3);
  expect(alignGroups(linear.groups).columns).toEqual([
    [2, 3, 4],
    [-1, null, 0.3],
    [null, 0.2, null],
  ]);
});

test('the first measure of neural collapse is shown first', () => {
  expect(defaultMeasure(['n_params', 'val_acc', 'val_loss', 'perplex', 'cdnv'])).toBe('cdnv');
  expect(defaultMeasure([])).toBeUndefined();
});

test('validation losses lie at the steps of their checkpoints', () => {
  expect(stepOf('/lc/models/x/checkpoint-120')).toBe(120);
  const train = { stage: 'train', checkpoints: ['/m/checkpoint-40', '/m/checkpoint-80'] };
  const outputs = [
    { stage: 1, checkpoint: 1, output: { stage: 'evaluate', eval_loss: 2 } },
    { stage: 2, checkpoint: 0, output: { stage: 'evaluate', eval_loss: 3 } },
    { stage: 3, output: train },
  ] as RunDetail['outputs'];
  expect(validationPoints(outputs)).toEqual([
    { step: 40, loss: 3 },
    { step: 80, loss: 2 },
  ]);
});

test('curves share one axis of steps, and what a scale cannot show is left open', () => {
  const points = [1, 2].map((step) => ({ step, loss: step === 2 ? ('inf' as const) : 5 }));
  const columns = lossColumns(points as never, [{ step: 3, loss: 4 }], true);
  expect(columns).toEqual([
    [1, 2, 3],
    [5, null, null],
    [null, null, 4],
  ]);
});
