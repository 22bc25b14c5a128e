/** How groups of points look: a colour along a scale and a shape of their own, so that neither is needed alone. */
import type uPlot from 'uplot';

export const SHAPES = ['circle', 'square', 'diamond', 'triangle', 'cross'] as const;
export type Shape = (typeof SHAPES)[number];

/** The look of a group: colours go from teal over blue to magenta, shapes take turns. */
export function groupLook(
  index: number,
  count: number,
  dark: boolean,
): { colour: string; shape: Shape } {
  const share = count > 1 ? index / (count - 1) : 0.35;
  const hue = Math.round(178 + share * 150);
  const colour = dark ? `hsl(${hue} 62% 66%)` : `hsl(${hue} 62% 38%)`;
  return { colour, shape: SHAPES[index % SHAPES.length] ?? 'circle' };
}

/** An outline around a centre, as a closed path; `radius` is that of a circle of like weight. */
export function shapePath(path: Path2D, shape: Shape, x: number, y: number, radius: number): void {
  switch (shape) {
    case 'circle':
      path.moveTo(x + radius, y);
      path.arc(x, y, radius, 0, 2 * Math.PI);
      break;
    case 'square':
      path.rect(x - radius * 0.88, y - radius * 0.88, radius * 1.76, radius * 1.76);
      break;
    default:
      polygon(path, OUTLINES[shape], x, y, radius);
  }
}

type Outline = readonly (readonly [number, number])[];

const OUTLINES: Record<'diamond' | 'triangle' | 'cross', Outline> = {
  diamond: [
    [0, -1.25],
    [1.25, 0],
    [0, 1.25],
    [-1.25, 0],
  ],
  triangle: [
    [0, -1.2],
    [1.15, 0.85],
    [-1.15, 0.85],
  ],
  cross: [
    [-0.4, -1.15],
    [0.4, -1.15],
    [0.4, -0.4],
    [1.15, -0.4],
    [1.15, 0.4],
    [0.4, 0.4],
    [0.4, 1.15],
    [-0.4, 1.15],
    [-0.4, 0.4],
    [-1.15, 0.4],
    [-1.15, -0.4],
    [-0.4, -0.4],
  ],
};

function polygon(path: Path2D, outline: Outline, x: number, y: number, radius: number): void {
  outline.forEach(([dx, dy], corner) => {
    if (corner === 0) path.moveTo(x + dx * radius, y + dy * radius);
    else path.lineTo(x + dx * radius, y + dy * radius);
  });
  path.closePath();
}

/** Draws a series as points of one shape. `radius` is in CSS pixels. */
export function shapePoints(shape: Shape, radius: number): uPlot.Series.Points.PathBuilder {
  return (plot, series, first, last) => {
    const path = new Path2D();
    const scale = plot.series[series]?.scale ?? 'y';
    const xs = plot.data[0];
    const ys = plot.data[series];
    for (let index = first; index <= last; index += 1) {
      const x = xs[index];
      const y = ys?.[index];
      if (x === undefined || y === null || y === undefined) continue;
      const centre = [plot.valToPos(x, 'x', true), plot.valToPos(y, scale, true)] as const;
      shapePath(path, shape, centre[0], centre[1], radius * devicePixelRatio);
    }
    return { stroke: path, fill: path, clip: null, flags: 3 };
  };
}
