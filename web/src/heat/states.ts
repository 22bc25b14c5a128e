/** The colours of stage states in a heat map. */
import type { StageState } from '../api/types';

/** Names of the style sheet's colours; those that are close to each other differ in shape. */
export const STATE_TOKENS: Record<StageState, string> = {
  waiting: 'line',
  ready: 'line-strong',
  queued: 'heat-queued',
  running: 'heat-running',
  done: 'heat-done',
  failed: 'heat-failed',
  cancelled: 'heat-cancelled',
  skipped: 'heat-skipped',
};

/** Whether a shape on the state's colour is dark rather than light. */
export function isPale(state: StageState): boolean {
  return state === 'waiting' || state === 'ready';
}
