/** Axes that all charts share. */
import type uPlot from 'uplot';
import { formatNumber } from '../format/number';
import { token } from './scheme.svelte';
import { labelsWithin, logSplits } from './splits';

/** An axis in the page's colours, with a label where one is given. */
export function axis(label: string, extra: Partial<uPlot.Axis> = {}): uPlot.Axis {
  const font = `12px ${token('sans')}`;
  return {
    label,
    stroke: token('muted'),
    font,
    labelFont: font,
    labelSize: 20,
    size: 30,
    gap: 4,
    grid: { stroke: token('line'), width: 1 },
    ticks: { stroke: token('line'), width: 1, size: 5 },
    values: (_plot, splits) =>
      splits.map((value: number | null) => (value === null ? '' : formatNumber(tidy(value)))),
    ...extra,
  };
}

/** The y axis of a chart whose scale may be logarithmic. */
export function valueAxis(label: string, log: boolean): uPlot.Axis {
  if (!log) return axis(label, { size: labelWidth });
  return axis(label, { size: labelWidth, ...logLabels('height', 20) });
}

/** Labels of a logarithmic axis, as many as there is room for: each takes so many pixels of the plot's side. */
export function logLabels(side: 'width' | 'height', room: number): Partial<uPlot.Axis> {
  return {
    splits: (plot, _axis, low, high) =>
      logSplits(low, high, labelsWithin(plot.bbox[side] / devicePixelRatio, room)),
    filter: (_plot, splits) => splits,
  };
}

/** Room on the left for the widest label. */
function labelWidth(_plot: uPlot, labels: string[] | null): number {
  const longest = Math.max(3, ...(labels ?? []).map((label) => label.length));
  return 14 + longest * 7;
}

/** Ends of a scale with some air; a scale of one value gets some around it. */
export function withAir(low: number, high: number): [number, number] {
  // The moving average of one value differs from it in the last digit.
  const spread = high - low > 1e-9 * Math.abs(high);
  const air = spread ? (high - low) * 0.06 : Math.max(Math.abs(low) * 0.05, 1e-6);
  return [low - air, high + air];
}

/** Ends of a logarithmic scale with some air. */
export function withLogAir(low: number, high: number): [number, number] {
  const ratio = high > low ? (high / low) ** 0.06 : 1.2;
  return [low / ratio, high * ratio];
}

// Splits are sums of steps: 0.30000000000000004.
function tidy(value: number): number {
  return Number(value.toPrecision(10));
}
