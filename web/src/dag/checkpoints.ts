/** The checkpoints of a run: their stages, and the state that tells most about each. */
import { isPerCheckpoint, type StageState, type StageView } from '../api/types';

export interface Checkpoint {
  index: number;
  stages: StageView[];
  state: StageState;
}

/** From what most needs a person to what is over, as the daemon has it (`table::entry::urgency`). */
const URGENCY: readonly StageState[] = [
  'failed',
  'running',
  'queued',
  'ready',
  'waiting',
  'cancelled',
  'skipped',
  'done',
];

/** Checkpoints by index. */
export function checkpointsOf(stages: readonly StageView[]): Checkpoint[] {
  const found = new Map<number, StageView[]>();
  for (const stage of stages) {
    if (!isPerCheckpoint(stage.kind)) continue;
    const index = stage.checkpoint ?? 0;
    found.set(index, [...(found.get(index) ?? []), stage]);
  }
  return [...found]
    .sort(([a], [b]) => a - b)
    .map(([index, of]) => ({ index, stages: of, state: worst(of) }));
}

/** The state of the stage that most needs a person. */
function worst(stages: readonly StageView[]): StageState {
  return URGENCY.find((state) => stages.some((stage) => stage.state === state)) ?? 'waiting';
}

/** The checkpoint to show where nobody chose one: what needs a person, else the newest that moves or is done. */
export function defaultCheckpoint(checkpoints: readonly Checkpoint[]): number | undefined {
  const newest = (state: StageState) => checkpoints.findLast((each) => each.state === state)?.index;
  return newest('failed') ?? newest('running') ?? newest('done') ?? checkpoints[0]?.index;
}
