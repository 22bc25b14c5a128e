import type uPlot from 'uplot';
import { expect, test } from 'vitest';
import { CURVE_XS } from './curve';
import { xSpace, xValues } from './x-axis';

/** Pixels of a character in a label, on the whole. */
const CHARACTER = 7;

test('labels of an axis leave air between them, however long the training', () => {
  for (const x of CURVE_XS) {
    for (let decade = 1; decade <= 1e9; decade *= 10) {
      const ticks = [1, 2, 2.5, 3, 5].map((factor) => factor * decade);
      const labels = xValues(x, false)({} as uPlot, ticks, 0, 0, 0) as string[];
      for (const label of labels) expect(label.length * CHARACTER, label).toBeLessThan(xSpace(x));
    }
  }
});
