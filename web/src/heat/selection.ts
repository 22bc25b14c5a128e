/**
 * A selection on a heat map: some values of each axis, and the cells where they cross. That is what a
 * filter can say, and it stays right when the grid grows meanwhile.
 */
import type { HeatMap } from '../api/types';
import { toNumber } from '../format/number';

export interface Selection {
  xs: readonly number[];
  ys: readonly number[];
}

/** A cell: column from the left, row from the top. */
export interface Place {
  i: number;
  j: number;
}

/** The values along an axis. */
function valuesOf(axis: HeatMap['x']): number[] {
  return axis.values.map(toNumber);
}

/** All cells between two corners. */
export function box(map: HeatMap, one: Place, other: Place): Selection {
  return {
    xs: between(valuesOf(map.x), one.i, other.i),
    ys: between(valuesOf(map.y), one.j, other.j),
  };
}

/** Columns from one to another, in full. */
export function columns(map: HeatMap, one: number, other = one): Selection {
  return { xs: between(valuesOf(map.x), one, other), ys: valuesOf(map.y) };
}

/** Rows from one to another, in full. */
export function rows(map: HeatMap, one: number, other = one): Selection {
  return { xs: valuesOf(map.x), ys: between(valuesOf(map.y), one, other) };
}

function between(values: readonly number[], one: number, other: number): number[] {
  return values.slice(Math.min(one, other), Math.max(one, other) + 1);
}

/** Whether a cell belongs to it. */
export function contains(map: HeatMap, selection: Selection, { i, j }: Place): boolean {
  const x = map.x.values[i];
  const y = map.y.values[j];
  if (x === undefined || y === undefined) return false;
  return selection.xs.includes(toNumber(x)) && selection.ys.includes(toNumber(y));
}

/** Its cells that hold runs, and these runs. */
export function extent(map: HeatMap, selection: Selection): { cells: number; runs: number } {
  const xs = new Set(selection.xs);
  const ys = new Set(selection.ys);
  const inX = valuesOf(map.x).map((value) => xs.has(value));
  const inY = valuesOf(map.y).map((value) => ys.has(value));
  let cells = 0;
  let runs = 0;
  map.runs.forEach((count, index) => {
    if (count === 0 || !inX[index % inX.length] || !inY[Math.floor(index / inX.length)]) return;
    cells += 1;
    runs += count;
  });
  return { cells, runs };
}

/** The filter for its runs, among those that another filter lets through. */
export function filterOf(map: HeatMap, selection: Selection, base: string): string {
  const terms = [base.trim(), term(map.x, selection.xs), term(map.y, selection.ys)];
  return terms.filter((text) => text !== '').join(' ');
}

// Also where an axis is chosen in full: the grid may grow before the filter is used.
function term(axis: HeatMap['x'], chosen: readonly number[]): string {
  return `${axis.name}=${chosen.join(',')}`;
}

/** In words: `width 64 to 256, depth 2`. */
export function inWords(map: HeatMap, selection: Selection): string {
  return `${axisInWords(map.x, selection.xs)}, ${axisInWords(map.y, selection.ys)}`;
}

function axisInWords(axis: HeatMap['x'], chosen: readonly number[]): string {
  const name = axis.name.replaceAll('_', ' ');
  const first = chosen[0];
  if (first === undefined) return `no ${name}`;
  if (chosen.length === 1) return `${name} ${first}`;
  if (chosen.length === axis.values.length) return `every ${name}`;
  return `${name} ${first} to ${chosen.at(-1) ?? first}`;
}

/** As an address keeps it: `64,128;1,2`. */
export function writeSelection(selection: Selection): string {
  return `${selection.xs.join(',')};${selection.ys.join(',')}`;
}

/** The selection of an address, as far as the map has its values. */
export function readSelection(map: HeatMap, text: string | undefined): Selection | undefined {
  const [xs, ys] = (text ?? '').split(';').map((part) => part.split(',').map(Number));
  const kept = {
    xs: valuesOf(map.x).filter((value) => xs?.includes(value)),
    ys: valuesOf(map.y).filter((value) => ys?.includes(value)),
  };
  return kept.xs.length > 0 && kept.ys.length > 0 ? kept : undefined;
}
