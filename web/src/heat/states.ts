/** How a stage's state looks in a heat map: one colour of the style sheet and one shape per state. */
import type { StageState } from '../api/types';

/** Names of the colours; those not of their own share one and differ in shape. */
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

/** The shapes of StateIcon, as strokes within 16 by 16. */
export const STATE_SHAPES: Record<StageState, { path: string; solid: boolean }> = {
  waiting: { path: 'M7 8a1 1 0 1 0 2 0 1 1 0 1 0-2 0z', solid: true },
  ready: { path: 'M3 8a5 5 0 1 0 10 0 5 5 0 1 0-10 0z', solid: false },
  queued: { path: 'M8 3a5 5 0 0 1 0 10z M8 3a5 5 0 0 0 0 10', solid: false },
  running: { path: 'M5 3.5l7 4.5-7 4.5z', solid: true },
  done: { path: 'M3.5 8.5l3 3L12.5 5', solid: false },
  failed: { path: 'M4 4l8 8M12 4l-8 8', solid: false },
  cancelled: { path: 'M3 8a5 5 0 1 0 10 0 5 5 0 1 0-10 0z M4.5 11.5l7-7', solid: false },
  skipped: { path: 'M4 8h8', solid: false },
};

/** From what is done to what waits, as in the bar of counts. */
export const STATE_ORDER = [
  'done',
  'running',
  'queued',
  'ready',
  'waiting',
  'cancelled',
  'skipped',
  'failed',
] as const satisfies readonly StageState[];
