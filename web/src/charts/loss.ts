/** The validation loss of each checkpoint, for the loss curve. */
import type { RunDetail } from '../api/types';
import { toNumber } from '../format/number';

export interface ValidationPoint {
  step: number;
  loss: number;
}

/** The optimizer step in the name of a checkpoint's folder. */
export function stepOf(folder: string): number | undefined {
  const match = /checkpoint-(\d+)\/?$/.exec(folder);
  return match?.[1] === undefined ? undefined : Number(match[1]);
}

/**
 * Where on the curve each evaluated checkpoint lies, once training is done. One checkpoint is written per epoch; where
 * only the newest were kept, these keep their indices.
 */
export function validationPoints(outputs: RunDetail['outputs'], epochs: number): ValidationPoint[] {
  const folders = outputs.flatMap(({ output }) =>
    output.stage === 'train' ? output.checkpoints : [],
  );
  return outputs
    .flatMap(({ output, checkpoint }) => {
      if (output.stage !== 'evaluate') return [];
      const gone = epochs - folders.length;
      const step = stepOf(folders[(checkpoint ?? 0) - gone] ?? '');
      return step === undefined ? [] : [{ step, loss: toNumber(output.eval_loss) }];
    })
    .sort((a, b) => a.step - b.step);
}
