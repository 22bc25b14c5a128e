/** The points of a measure against another, grouped by width. */
import type { MeasureRow, RunSummary } from '../api/types';
import { toNumber } from '../format/number';

export interface ScatterPoint {
  model: string;
  run: number | undefined;
  x: number;
  y: number;
}

export interface ScatterGroup {
  width: number;
  points: ScatterPoint[];
}

export interface ScatterData {
  /** By rising width. */
  groups: ScatterGroup[];
  /** Rows left out: a value is missing, not finite, or not above zero on a logarithmic scale. */
  left: number;
}

/** What an identifier says: `02x0768_01d07@0` is of width 768. */
export function widthOf(model: string): number | undefined {
  const match = /(?:^|-)\d+x(\d+)_/.exec(model);
  return match?.[1] === undefined ? undefined : Number(match[1]);
}

/** The run that a row of results belongs to. */
export function runOf(model: string, runs: readonly RunSummary[]): RunSummary | undefined {
  const at = model.lastIndexOf('@');
  const identifier = at < 0 ? model : model.slice(0, at);
  return runs.find((run) => run.identifier === identifier);
}

/** Points for all rows that have both values. */
export function scatterData(
  rows: readonly MeasureRow[],
  runs: readonly RunSummary[],
  x: string,
  y: string,
  log: boolean,
): ScatterData {
  const groups = new Map<number, ScatterPoint[]>();
  let left = 0;
  for (const row of rows) {
    const run = runOf(row.model, runs);
    const point = { model: row.model, run: run?.id, x: value(row, x), y: value(row, y) };
    if (!Number.isFinite(point.x) || !Number.isFinite(point.y) || (log && point.y <= 0)) {
      left += 1;
      continue;
    }
    const width = run?.width ?? widthOf(row.model) ?? 0;
    const group = groups.get(width);
    if (group) group.push(point);
    else groups.set(width, [point]);
  }
  const sorted = [...groups].sort(([a], [b]) => a - b);
  return { groups: sorted.map(([width, points]) => ({ width, points })), left };
}

/** The measure to show first: the first column that is a measure of neural collapse. */
export function defaultMeasure(columns: readonly string[]): string | undefined {
  const general = ['n_params', 'val_acc', 'val_loss', 'perplex'];
  return columns.find((column) => !general.includes(column)) ?? columns[0];
}

/** One x column and one y column per group, all sorted by x: the form that uPlot takes. */
export function alignGroups(groups: readonly ScatterGroup[]): {
  points: ScatterPoint[];
  columns: [number[], ...(number | null)[][]];
} {
  const tagged = groups
    .flatMap((group, index) => group.points.map((point) => ({ point, index })))
    .sort((a, b) => a.point.x - b.point.x);
  return {
    points: tagged.map(({ point }) => point),
    columns: [
      tagged.map(({ point }) => point.x),
      ...groups.map((_, group) =>
        tagged.map(({ point, index }) => (index === group ? point.y : null)),
      ),
    ],
  };
}

function value(row: MeasureRow, column: string): number {
  const wire = row.values[column];
  return wire === undefined ? NaN : toNumber(wire);
}
