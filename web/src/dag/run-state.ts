/** Where all stages of a run stand together, in the words of a study. */
import { isFinal, type StageView, type StudyState } from '../api/types';

/** Anything unfinished outweighs a failure, a failure outweighs a cancellation. */
export function stateOfRun(stages: readonly StageView[]): StudyState {
  if (stages.some(({ state }) => !isFinal(state))) return 'active';
  if (stages.some(({ state }) => state === 'failed')) return 'failed';
  if (stages.some(({ state }) => state === 'cancelled' || state === 'skipped')) return 'cancelled';
  return 'done';
}
