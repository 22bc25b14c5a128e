import { expect, test } from 'vitest';
import type {
  Change,
  MetricPoint,
  RunDetail,
  RunSummary,
  StageView,
  StudyDetail,
} from '../api/types';
import { countStages, mergePoints, pointsOf, reduceRun, reduceStudy, stateOf } from './reduce';

const stage = (id: number, extra: Partial<StageView> = {}): StageView => ({
  id,
  run: 1,
  kind: 'train',
  state: 'waiting',
  attempts: 0,
  ...extra,
});

const run = (id: number, stages: StageView[]): RunSummary => ({
  id,
  identifier: `01x0032_01d0${id}`,
  name: `01x0032_01d0${id}`,
  hash: 'f'.repeat(64),
  layers: 1,
  width: 32,
  seed: id,
  epochs: 1,
  weight_decay: 0.0005,
  stages,
});

const study = (runs: RunSummary[]): StudyDetail => ({
  summary: {
    name: 'first',
    state: stateOf(countStages(runs)),
    created: '2026-03-01T12:00:00Z',
    runs: runs.length,
    stages: countStages(runs),
  },
  spec: { name: 'first' },
  runs,
});

const moved = (id: number, view: StageView, name = 'first'): Change => ({
  id,
  studies: [name],
  body: { kind: 'stage', stage: view },
});

const point = (step: number, loss: number): MetricPoint => ({
  step,
  epoch: 0,
  loss,
  learning_rate: 0,
  grad_norm: 1,
  tokens_per_s: 1,
});

const shared = stage(1, { kind: 'prepare', run: null, state: 'done' });
const two = study([run(1, [shared, stage(2)]), run(2, [shared, stage(3)])]);

test('a prepare that runs share counts once', () => {
  expect(two.summary.stages).toMatchObject({ done: 1, waiting: 2 });
});

test('a change reaches its stage, the counts follow, and other runs stay the same objects', () => {
  const { value, stale } = reduceStudy(two, [moved(9, stage(3, { state: 'running' }))]);
  expect(value.runs[1]?.stages[1]?.state).toBe('running');
  expect(value.runs[0]).toBe(two.runs[0]);
  expect(value.summary.stages).toMatchObject({ done: 1, waiting: 1, running: 1 });
  expect(stale).toBe(false);
});

test('of several changes to a stage the last one counts', () => {
  const { value } = reduceStudy(two, [
    moved(9, stage(2, { state: 'queued' })),
    moved(10, stage(2, { state: 'running' })),
  ]);
  expect(value.runs[0]?.stages[1]?.state).toBe('running');
});

test('a shared stage changes in every run that has it', () => {
  const { value } = reduceStudy(two, [moved(9, { ...shared, state: 'failed' })]);
  expect(value.runs.map((each) => each.stages[0]?.state)).toEqual(['failed', 'failed']);
});

test('changes of another study do nothing', () => {
  const { value, stale, results } = reduceStudy(two, [
    moved(9, stage(2, { state: 'failed' }), 'other'),
    { id: 10, studies: ['other'], body: { kind: 'study' } },
    { id: 11, studies: ['other'], body: { kind: 'results', run: 5 } },
  ]);
  expect(value).toEqual(two);
  expect({ stale, results }).toEqual({ stale: false, results: false });
});

test('a stage that is not known, or an extended study, must be fetched', () => {
  expect(reduceStudy(two, [moved(9, stage(77))]).stale).toBe(true);
  const extended: Change = { id: 9, studies: ['first'], body: { kind: 'study' } };
  expect(reduceStudy(two, [extended]).stale).toBe(true);
});

test('the end of the last stage ends the study', () => {
  const { value, stale } = reduceStudy(two, [
    moved(9, stage(2, { state: 'done' })),
    moved(10, stage(3, { state: 'failed' })),
  ]);
  expect(value.summary.state).toBe('failed');
  expect(stale).toBe(true);
});

test('a failure outweighs a cancellation, and anything unfinished outweighs both', () => {
  const counts = countStages([]);
  expect(stateOf({ ...counts, done: 3 })).toBe('done');
  expect(stateOf({ ...counts, done: 3, cancelled: 1 })).toBe('cancelled');
  expect(stateOf({ ...counts, cancelled: 1, skipped: 2, failed: 1 })).toBe('failed');
  expect(stateOf({ ...counts, failed: 1, queued: 1 })).toBe('active');
});

test('progress alone does not make a run stale, a new state or attempt does', () => {
  const detail = { summary: run(1, [stage(2, { state: 'running', attempts: 1 })]) } as RunDetail;
  const progress = { done: 3, total: 9, unit: 'steps' };
  const running = stage(2, { state: 'running', attempts: 1, progress });
  const after = reduceRun(detail, [moved(9, running)]);
  expect(after.value.summary.stages[0]?.progress).toEqual(progress);
  expect(after.stale).toBe(false);
  expect(reduceRun(detail, [moved(9, { ...running, state: 'done' })]).stale).toBe(true);
  expect(reduceRun(detail, [moved(9, { ...running, attempts: 2 })]).stale).toBe(true);
});

test('a resumed run replaces the steps that it repeats', () => {
  const merged = mergePoints([point(1, 9), point(2, 8), point(3, 7)], [point(2, 5), point(4, 4)]);
  expect(merged.map(({ step, loss }) => [step, loss])).toEqual([
    [1, 9],
    [2, 5],
    [3, 7],
    [4, 4],
  ]);
});

test('points of other runs are left alone', () => {
  const metrics = (id: number, of: number): Change => ({
    id,
    studies: ['first'],
    body: { kind: 'metrics', run: of, points: [point(id, of)] },
  });
  expect(pointsOf(2, [metrics(1, 1), metrics(2, 2)])).toEqual([point(2, 2)]);
});
