import type { StageKind } from '../api/types';

/** `train`, or `means@0` where there is a checkpoint. */
export function stageName(stage: { kind: StageKind; checkpoint?: number | null }): string {
  return stage.checkpoint == null ? stage.kind : `${stage.kind}@${stage.checkpoint}`;
}

/** The id of a stage's node in the graph of its page. */
export function stageNode(id: number): string {
  return `stage-${id}`;
}
