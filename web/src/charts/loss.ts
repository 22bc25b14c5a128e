/** The data of the loss curve: training points, and the validation loss of each checkpoint. */
import type { MetricPoint, RunDetail } from '../api/types';
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

/** Where on the curve each evaluated checkpoint lies, once training is done. */
export function validationPoints(outputs: RunDetail['outputs']): ValidationPoint[] {
  const folders = outputs.flatMap(({ output }) =>
    output.stage === 'train' ? output.checkpoints : [],
  );
  return outputs
    .flatMap(({ output, checkpoint }) => {
      if (output.stage !== 'evaluate') return [];
      const step = stepOf(folders[checkpoint ?? 0] ?? '');
      return step === undefined ? [] : [{ step, loss: toNumber(output.eval_loss) }];
    })
    .sort((a, b) => a.step - b.step);
}

/** Columns for uPlot: steps, training loss, validation loss. What can't be drawn is left open. */
export function lossColumns(
  points: readonly MetricPoint[],
  validation: readonly ValidationPoint[],
  log: boolean,
): [number[], (number | null)[], (number | null)[]] {
  const drawn = (value: number | undefined) =>
    value === undefined || !Number.isFinite(value) || (log && value <= 0) ? null : value;
  const train = new Map(points.map((point) => [point.step, toNumber(point.loss)]));
  const valid = new Map(validation.map((point) => [point.step, point.loss]));
  const steps = [...new Set([...train.keys(), ...valid.keys()])].sort((a, b) => a - b);
  return [
    steps,
    steps.map((step) => drawn(train.get(step))),
    steps.map((step) => drawn(valid.get(step))),
  ];
}
