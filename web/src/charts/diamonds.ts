/** Points drawn as diamonds, to tell them from those of a line. */
import type uPlot from 'uplot';

/** Draws a series as diamonds. `radius` is in CSS pixels, that of a circle of like weight. */
export function diamonds(radius: number): uPlot.Series.Points.PathBuilder {
  return (plot, series, first, last) => {
    const path = new Path2D();
    const scale = plot.series[series]?.scale ?? 'y';
    const xs = plot.data[0];
    const ys = plot.data[series];
    const reach = 1.25 * radius * devicePixelRatio;
    for (let index = first; index <= last; index += 1) {
      const x = xs[index];
      const y = ys?.[index];
      if (x === undefined || y === null || y === undefined) continue;
      const [across, down] = [plot.valToPos(x, 'x', true), plot.valToPos(y, scale, true)];
      path.moveTo(across, down - reach);
      path.lineTo(across + reach, down);
      path.lineTo(across, down + reach);
      path.lineTo(across - reach, down);
      path.closePath();
    }
    return { stroke: path, fill: path, clip: null, flags: 3 };
  };
}
