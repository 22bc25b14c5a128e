/** Where a logarithmic axis has its lines. */

/** The most lines that an axis carries calmly. */
const MOST = 8;

/**
 * Round values between two ends above zero: powers of ten over many decades, with 2 and 5 between them
 * over a few, and even steps where the scale covers less than a decade.
 */
export function logSplits(low: number, high: number): number[] {
  if (!(low > 0) || !(high > low)) return [];
  const decades = Math.log10(high / low);
  if (decades < 1) return evenSplits(low, high);
  const factors = decades < 3 ? [1, 2, 5] : [1];
  const every = Math.ceil(decades / MOST);
  const splits: number[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += every) {
    for (const factor of factors) splits.push(Number(`${factor}e${power}`));
  }
  return splits.filter((value) => value >= low && value <= high);
}

function evenSplits(low: number, high: number): number[] {
  const rough = (high - low) / (MOST - 2);
  const power = Math.floor(Math.log10(rough));
  const unit = Number(`1e${power}`);
  const factor = [1, 2, 5, 10].find((each) => each * unit >= rough) ?? 10;
  const step = factor * unit;
  const splits: number[] = [];
  for (let count = Math.ceil(low / step); count * step <= high; count += 1) {
    splits.push(Number((count * step).toPrecision(12)));
  }
  return splits;
}
