/** Training curves as columns for uPlot: each run has its raw values, their moving average, and marks for checkpoints. */
import uPlot from 'uplot';
import type { Curve } from '../api/types';
import { toNumber } from '../format/number';
import type { ValidationPoint } from './loss';

export const CURVE_XS = ['step', 'tokens', 'time'] as const;
export type CurveX = (typeof CURVE_XS)[number];
export type CurveY = 'loss' | 'learning_rate' | 'grad_norm' | 'tokens_per_s';

export interface RunCurve {
  curve: Curve;
  /** Drawn as marks; empty for all values but the loss. */
  validation: readonly ValidationPoint[];
}

/** How many series {@link curveColumns} makes of each run. */
export const SERIES_PER_RUN = 3;

/** The x values of a curve. */
export function curveXs(curve: Curve, x: CurveX): readonly number[] {
  return { step: curve.step, tokens: curve.tokens, time: curve.seconds }[x];
}

/**
 * One x column for all runs, then raw values, moving average and validation of each. What can't be drawn, such as a
 * zero on a logarithmic scale, is left open.
 */
export function curveColumns(
  runs: readonly RunCurve[],
  x: CurveX,
  log: { x: boolean; y: boolean },
): uPlot.AlignedData {
  if (runs.length === 0) return [[]];
  const drawn = (value: number) => (Number.isFinite(value) && (!log.y || value > 0) ? value : null);
  const tables = runs.flatMap(({ curve, validation }): uPlot.AlignedData[] => {
    const xs = curveXs(curve, x);
    const kept = xs.flatMap((value, index) => (log.x && value <= 0 ? [] : [index]));
    const column = (values: Curve['value']) =>
      kept.map((index) => drawn(toNumber(values[index] ?? 'nan')));
    const at = (index: number) => xs[index] ?? NaN;
    const marks = validation
      .map((point) => [positionOf(curve, x, point.step), drawn(point.loss)] as const)
      .filter(([place]) => Number.isFinite(place) && (!log.x || place > 0));
    return [
      [kept.map(at), column(curve.value), column(curve.smooth)],
      [marks.map(([place]) => place), marks.map(([, loss]) => loss)],
    ];
  });
  return uPlot.join(tables);
}

/** Where a step lies on the x axis, between the points that are known. */
export function positionOf(curve: Curve, x: CurveX, step: number): number {
  if (x === 'step') return step;
  const xs = curveXs(curve, x);
  const after = curve.step.findIndex((each) => each >= step);
  if (after < 0) return xs.at(-1) ?? NaN;
  const [low, high] = [curve.step[after - 1], curve.step[after] ?? step];
  const end = xs[after] ?? NaN;
  const start = xs[after - 1];
  if (low === undefined || start === undefined || high === low) return end;
  return start + ((end - start) * (step - low)) / (high - low);
}
