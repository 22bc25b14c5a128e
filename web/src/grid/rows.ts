/** The grid of runs x stages: which stage is in which cell. */
import { isPerCheckpoint, type RunSummary, type StageKind, type StageView } from '../api/types';

/** One line of a run: the stages of one checkpoint. */
export interface CheckpointRow {
  /** Checkpoint index; none while the run has no stage per checkpoint. */
  checkpoint: number | undefined;
  cells: Partial<Record<StageKind, StageView>>;
}

/** What a run shows: cells that span all of its lines, and one line per checkpoint. */
export interface RunRows {
  shared: Partial<Record<StageKind, StageView>>;
  lines: CheckpointRow[];
}

/** Sorts a run's stages into lines by checkpoint. */
export function rowsOf(run: RunSummary): RunRows {
  const shared: RunRows['shared'] = {};
  const lines = new Map<number, CheckpointRow>();
  for (const stage of run.stages) {
    if (!isPerCheckpoint(stage.kind)) {
      shared[stage.kind] = stage;
      continue;
    }
    const checkpoint = stage.checkpoint ?? 0;
    const line = lines.get(checkpoint) ?? { checkpoint, cells: {} };
    line.cells[stage.kind] = stage;
    lines.set(checkpoint, line);
  }
  const sorted = [...lines.values()].sort((a, b) => (a.checkpoint ?? 0) - (b.checkpoint ?? 0));
  return { shared, lines: sorted.length > 0 ? sorted : [{ checkpoint: undefined, cells: {} }] };
}

/** Runs by architecture, then training, then seed: the order of the grid's axes. */
export function sortRuns(runs: readonly RunSummary[]): RunSummary[] {
  return [...runs].sort(
    (a, b) =>
      a.layers - b.layers ||
      a.width - b.width ||
      a.epochs - b.epochs ||
      a.weight_decay - b.weight_decay ||
      a.seed - b.seed ||
      a.id - b.id,
  );
}
