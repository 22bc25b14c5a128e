/** The x axes of training curves: steps, tokens, time. */
import type uPlot from 'uplot';
import { formatCount } from '../format/number';
import { formatDuration } from '../format/time';
import type { CurveX } from './curve';

const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 2 });

/** What lies on the axis, in words. */
export function xAxisLabel(x: CurveX): string {
  return { step: 'step', tokens: 'tokens', time: 'time of training' }[x];
}

/** A place on the axis in words: `step 1,200`. */
export function formatX(x: CurveX, value: number): string {
  if (x === 'time') return formatDuration(value * 1000);
  return x === 'step' ? `step ${formatCount(value)}` : `${formatCount(value)} tokens`;
}

/** Pixels from one label to the next at least: times are wide in words. */
export function xSpace(x: CurveX): number {
  return x === 'time' ? 90 : 56;
}

/** Labels of the axis; a logarithmic one carries only powers of ten. */
export function xValues(x: CurveX, log: boolean): uPlot.Axis.DynamicValues {
  return (_plot, splits) =>
    splits.map((value: number | null) => {
      if (value === null || (log && !isPowerOfTen(value))) return '';
      if (x === 'time') return formatDuration(value * 1000).replace(' ', '\u202f');
      return compact.format(value);
    });
}

function isPowerOfTen(value: number): boolean {
  return value > 0 && Number.isInteger(Number(Math.log10(value).toFixed(9)));
}
