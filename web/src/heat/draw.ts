/** Draws the cells of a heat map: states by colour and shape, numbers by colour and figures. */
import type { HeatMap, StageState } from '../api/types';
import { formatNumber, toNumber } from '../format/number';
import { STATE_ORDER, STATE_SHAPES } from '../parts/states';
import { css, inkOn, ramp, type Scale } from './colour';
import type { Geometry } from './geometry';
import { contains, type Place, type Selection } from './selection';
import { isPale, STATE_TOKENS } from './states';

interface Drawing {
  map: HeatMap;
  geometry: Geometry;
  /** For numbers. */
  scale: Scale | undefined;
  selection: Selection | undefined;
  /** The cell that the keyboard is at, while the map has the focus. */
  cursor: Place | undefined;
  /** The value of one of the style sheet's colours. */
  token: (name: string) => string;
}

/** A shape or a figure needs so much room. */
const ROOM_FOR_SHAPE = 18;
const ROOM_FOR_FIGURE = 44;

export function draw(context: CanvasRenderingContext2D, drawing: Drawing): void {
  const { map, geometry } = drawing;
  const { cellWidth, cellHeight, columns, rows } = geometry;
  context.clearRect(0, 0, columns * cellWidth, rows * cellHeight);
  const paint =
    map.value.kind === 'state' ? statePainter(context, drawing) : numberPainter(context, drawing);
  const gap = Math.min(cellWidth, cellHeight) > 12 ? 1 : 0.5;
  for (let j = 0; j < rows; j += 1) {
    for (let i = 0; i < columns; i += 1) {
      if ((map.runs[j * columns + i] ?? 0) === 0) continue;
      paint(
        j * columns + i,
        i * cellWidth + gap,
        j * cellHeight + gap,
        cellWidth - 2 * gap,
        cellHeight - 2 * gap,
      );
    }
  }
  if (drawing.selection) outline(context, drawing, drawing.selection);
  if (drawing.cursor) ring(context, drawing, drawing.cursor);
}

type Paint = (index: number, x: number, y: number, width: number, height: number) => void;

function statePainter(context: CanvasRenderingContext2D, { map, token }: Drawing): Paint {
  const colour = {} as Record<StageState, string>;
  for (const state of STATE_ORDER) colour[state] = token(STATE_TOKENS[state]);
  const light = token('heat-ink');
  const dark = token('muted');
  const shapes = new Map(
    STATE_ORDER.map((state) => [
      state,
      STATE_SHAPES[state].map((part) => ({ ...part, shape: new Path2D(part.path) })),
    ]),
  );

  return (index, x, y, width, height) => {
    const state = map.state[index];
    if (!state) return empty(context, token, x, y, width, height);
    const counts = map.mixed[String(index)];
    if (counts) {
      // Several runs: a share of the cell for each state.
      const total = STATE_ORDER.reduce((sum, key) => sum + counts[key], 0);
      let left = x;
      for (const key of STATE_ORDER) {
        const part = (width * counts[key]) / total;
        context.fillStyle = colour[key];
        context.fillRect(left, y, part, height);
        left += part;
      }
      return;
    }
    context.fillStyle = colour[state];
    context.fillRect(x, y, width, height);
    if (Math.min(width, height) < ROOM_FOR_SHAPE) return;
    context.save();
    context.translate(x + width / 2 - 7, y + height / 2 - 7);
    context.scale(14 / 16, 14 / 16);
    context.strokeStyle = isPale(state) ? dark : light;
    context.fillStyle = context.strokeStyle;
    context.lineCap = 'round';
    context.lineJoin = 'round';
    for (const { shape, solid, stroke } of shapes.get(state) ?? []) {
      context.lineWidth = stroke;
      if (solid) context.fill(shape);
      context.stroke(shape);
    }
    context.restore();
  };
}

function numberPainter(context: CanvasRenderingContext2D, { map, scale, token }: Drawing): Paint {
  context.font = `11px ${token('sans')}`;
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  return (index, x, y, width, height) => {
    const mean = map.mean[index];
    const share = mean == null ? undefined : scale?.share(toNumber(mean));
    if (share === undefined) return empty(context, token, x, y, width, height);
    const colour = ramp(share);
    context.fillStyle = css(colour);
    context.fillRect(x, y, width, height);
    if (width < ROOM_FOR_FIGURE || height < ROOM_FOR_SHAPE || mean == null) return;
    context.fillStyle = inkOn(colour);
    context.fillText(figure(toNumber(mean)), x + width / 2, y + height / 2 + 0.5, width - 4);
  };
}

/** Runs without a value: a frame, so that they differ from no runs at all. */
function empty(
  context: CanvasRenderingContext2D,
  token: (name: string) => string,
  x: number,
  y: number,
  width: number,
  height: number,
): void {
  context.strokeStyle = token('line-strong');
  context.lineWidth = 1;
  context.strokeRect(x + 0.5, y + 0.5, width - 1, height - 1);
}

function outline(
  context: CanvasRenderingContext2D,
  { map, geometry, token }: Drawing,
  selection: Selection,
): void {
  const { cellWidth, cellHeight, columns, rows } = geometry;
  const inside = (i: number, j: number) => contains(map, selection, { i, j });
  context.fillStyle = token('heat-veil');
  context.strokeStyle = token('text');
  context.lineWidth = 2;
  context.beginPath();
  for (let j = 0; j < rows; j += 1) {
    for (let i = 0; i < columns; i += 1) {
      const [x, y] = [i * cellWidth, j * cellHeight];
      if (!inside(i, j)) {
        context.fillRect(x, y, cellWidth, cellHeight);
        continue;
      }
      const [left, top] = [x + 1, y + 1];
      const [right, bottom] = [x + cellWidth - 1, y + cellHeight - 1];
      if (!inside(i, j - 1)) edge(context, x, top, x + cellWidth, top);
      if (!inside(i, j + 1)) edge(context, x, bottom, x + cellWidth, bottom);
      if (!inside(i - 1, j)) edge(context, left, y, left, y + cellHeight);
      if (!inside(i + 1, j)) edge(context, right, y, right, y + cellHeight);
    }
  }
  context.stroke();
}

function edge(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  toX: number,
  toY: number,
): void {
  context.moveTo(x, y);
  context.lineTo(toX, toY);
}

function ring(
  context: CanvasRenderingContext2D,
  { geometry, token }: Drawing,
  { i, j }: Place,
): void {
  const { cellWidth, cellHeight } = geometry;
  for (const [colour, inset] of [
    [token('surface'), 2.5],
    [token('accent'), 1],
  ] as const) {
    context.strokeStyle = colour;
    context.lineWidth = 2;
    context.strokeRect(
      i * cellWidth + inset,
      j * cellHeight + inset,
      cellWidth - 2 * inset,
      cellHeight - 2 * inset,
    );
  }
}

/** Three digits are what fits and what the eye compares. */
function figure(value: number): string {
  const short = Number(value.toPrecision(3));
  const size = Math.abs(short);
  if (size < 1e-3 || size >= 100 || Number.isInteger(value)) return formatNumber(short);
  return short.toPrecision(3).replace('-', '−');
}
