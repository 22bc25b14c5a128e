/** A value of single classes against how often they occur, as columns for uPlot. */
import type uPlot from 'uplot';
import type { ClassCurve } from '../api/types';
import { toNumber } from '../format/number';

/** Counts, medians, lower and upper quartiles. What can't be drawn is left open. */
export function classColumns(curve: ClassCurve, log: boolean): uPlot.AlignedData {
  const drawn = (values: ClassCurve['median']) =>
    values.map((wire) => {
      const value = toNumber(wire);
      return Number.isFinite(value) && (!log || value > 0) ? value : null;
    });
  return [curve.count, drawn(curve.median), drawn(curve.lower), drawn(curve.upper)];
}
