import { expect, test } from 'vitest';
import type { StageState, StageView } from '../api/types';
import { checkpointsOf, defaultCheckpoint } from './checkpoints';
import { stateOfRun } from './run-state';

let id = 0;
const stage = (state: StageState, checkpoint: number | null): StageView => ({
  id: (id += 1),
  kind: checkpoint === null ? 'train' : 'means',
  checkpoint,
  state,
  attempts: 0,
});

test('a checkpoint is in the state that most needs a person', () => {
  const found = checkpointsOf([
    stage('done', null),
    stage('done', 1),
    stage('waiting', 0),
    stage('failed', 1),
  ]);
  expect(found.map(({ index, state }) => [index, state])).toEqual([
    [0, 'waiting'],
    [1, 'failed'],
  ]);
});

test('what failed is shown first, then what runs, then the newest that is done', () => {
  const of = (...states: StageState[]) =>
    defaultCheckpoint(checkpointsOf(states.map((state, index) => stage(state, index))));
  expect(of('done', 'failed', 'running')).toBe(1);
  expect(of('done', 'running', 'waiting')).toBe(1);
  expect(of('done', 'done', 'waiting')).toBe(1);
  expect(of('waiting', 'waiting')).toBe(0);
});

test('a failure outweighs a cancellation, and anything unfinished outweighs both', () => {
  const of = (...states: StageState[]) => stateOfRun(states.map((state) => stage(state, null)));
  expect(of('done', 'done')).toBe('done');
  expect(of('done', 'cancelled')).toBe('cancelled');
  expect(of('cancelled', 'failed', 'skipped')).toBe('failed');
  expect(of('failed', 'queued')).toBe('active');
});
