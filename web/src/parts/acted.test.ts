import { expect, test } from 'vitest';
import { STAGE_STATES, type StageState } from '../api/types';
import { verbsFor } from './acted';

const verbs = (state: StageState) => verbsFor([{ id: 1, kind: 'train', state, attempts: 1 }]);

test('what failed, was cancelled or skipped may be retried, and what is not over cancelled', () => {
  expect(STAGE_STATES.filter((state) => verbs(state).includes('retry'))).toEqual([
    'failed',
    'cancelled',
    'skipped',
  ]);
  expect(STAGE_STATES.filter((state) => verbs(state).includes('cancel'))).toEqual([
    'waiting',
    'ready',
    'queued',
    'running',
  ]);
});
