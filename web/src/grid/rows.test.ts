import { expect, test } from 'vitest';
import type { RunSummary, StageKind, StageView } from '../api/types';
import { rowsOf, sortRuns } from './rows';

let next = 1;
const stage = (kind: StageKind, checkpoint?: number): StageView => ({
  id: next++,
  kind,
  state: 'done',
  attempts: 1,
  checkpoint: checkpoint ?? null,
});

const run = (extra: Partial<RunSummary>): RunSummary => ({
  id: next++,
  identifier: '',
  name: '',
  hash: '',
  layers: 1,
  width: 64,
  seed: 0,
  epochs: 1,
  weight_decay: 0,
  stages: [],
  ...extra,
});

test('checkpoints become lines in their order, prepare and train span them', () => {
  const stages = [stage('prepare'), stage('train'), stage('means', 1), stage('means', 0)];
  const rows = rowsOf(run({ stages }));
  expect(Object.keys(rows.shared)).toEqual(['prepare', 'train']);
  expect(rows.lines.map((line) => line.checkpoint)).toEqual([0, 1]);
  expect(rows.lines[1]?.cells.means).toBe(stages[2]);
});

test('a run without stages per checkpoint still has one line', () => {
  expect(rowsOf(run({ stages: [stage('prepare')] })).lines).toEqual([
    { checkpoint: undefined, cells: {} },
  ]);
});

test('runs are sorted by number, not by text', () => {
  const sorted = sortRuns([
    run({ layers: 12, width: 64 }),
    run({ layers: 2, width: 1024 }),
    run({ layers: 2, width: 128, seed: 10 }),
    run({ layers: 2, width: 128, seed: 9 }),
  ]);
  expect(sorted.map(({ layers, width, seed }) => [layers, width, seed])).toEqual([
    [2, 128, 9],
    [2, 128, 10],
    [2, 1024, 0],
    [12, 64, 0],
  ]);
});
