/** Where the cells of a heat map lie, in CSS pixels. */
import type { Place } from './selection';

export interface Geometry {
  columns: number;
  rows: number;
  cellWidth: number;
  cellHeight: number;
}

/** A cell is never smaller, so that a pointer can hit it; what is wider than its room scrolls. */
const LEAST = 8;
const WIDEST = 76;
const HIGHEST = 32;
/** Room that all rows together should take. */
const ROOM_DOWN = 520;

/** The largest sensible cells for so many in so much room across. */
export function fit(columns: number, rows: number, room: number): Geometry {
  const size = (space: number, count: number, most: number) =>
    Math.min(most, Math.max(LEAST, Math.floor(space / Math.max(1, count))));
  return {
    columns,
    rows,
    cellWidth: size(room, columns, WIDEST),
    cellHeight: size(ROOM_DOWN, rows, HIGHEST),
  };
}

/** The cell at a point; points beyond the edge belong to the cell next to them when `clamped`. */
export function placeAt(
  { columns, rows, cellWidth, cellHeight }: Geometry,
  x: number,
  y: number,
  clamped = false,
): Place | undefined {
  const i = Math.floor(x / cellWidth);
  const j = Math.floor(y / cellHeight);
  if (clamped) return { i: clamp(i, columns), j: clamp(j, rows) };
  return i >= 0 && j >= 0 && i < columns && j < rows ? { i, j } : undefined;
}

/** A step from a cell that stays on the map. */
export function step({ columns, rows }: Geometry, from: Place, right: number, down: number): Place {
  return { i: clamp(from.i + right, columns), j: clamp(from.j + down, rows) };
}

/** Which of so many values get a label when each needs some room. */
export function labelled(count: number, cell: number, room: number): number[] {
  const every = Math.max(1, Math.ceil(room / cell));
  return Array.from({ length: count }, (_, index) => index).filter((index) => index % every === 0);
}

function clamp(index: number, count: number): number {
  return Math.max(0, Math.min(count - 1, index));
}
