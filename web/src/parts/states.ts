/** How the states of stages are drawn wherever they are: one shape each, and one order beside each other. */
import type { StageState } from '../api/types';

/** From the left: what is over, then what runs, then what waits. */
export const STATE_ORDER = [
  'done',
  'failed',
  'cancelled',
  'skipped',
  'running',
  'queued',
  'ready',
  'waiting',
] as const satisfies readonly StageState[];

/** A part of a shape within 16 by 16: a line, or an area with a thin edge. */
export interface ShapePart {
  path: string;
  solid: boolean;
  /** Width of its stroke. */
  stroke: number;
}

const line = (path: string): ShapePart => ({ path, solid: false, stroke: 1.9 });
const area = (path: string): ShapePart => ({ path, solid: true, stroke: 0.6 });
const RING = line('M2.5 8a5.5 5.5 0 1 0 11 0 5.5 5.5 0 1 0-11 0z');

/** A shape per state, so that colour never carries the meaning alone. */
export const STATE_SHAPES: Record<StageState, readonly ShapePart[]> = {
  waiting: [area('M6.4 8a1.6 1.6 0 1 0 3.2 0 1.6 1.6 0 1 0-3.2 0z')],
  ready: [RING],
  queued: [RING, area('M8 2.5a5.5 5.5 0 0 1 0 11z')],
  running: [area('M4.5 3l8 5-8 5z')],
  done: [line('M3 8.6l3.3 3.3L13 4.9')],
  failed: [line('M3.8 3.8l8.4 8.4M12.2 3.8l-8.4 8.4')],
  cancelled: [RING, line('M4.2 11.8l7.6-7.6')],
  skipped: [line('M3.5 8h9')],
};
