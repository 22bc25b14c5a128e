/** Where a logarithmic axis has its lines. */

/** The most lines that an axis carries calmly, however long it is. */
const MOST = 9;
/** Steps aimed at within less than a decade. */
const STEPS = 6;

/**
 * At most so many round values between two ends above zero: powers of ten over many decades, with 2 and 5 between
 * them over a few, and even steps where the scale covers less than a decade.
 */
export function logSplits(low: number, high: number, most = MOST): number[] {
  if (!(low > 0) || !(high > low)) return [];
  const decades = Math.log10(high / low);
  if (decades < 1) return evenSplits(low, high, most);
  if (decades < 3) {
    const splits = powers(low, high, 1, [1, 2, 5]);
    if (splits.length <= most) return splits;
  }
  for (let every = Math.ceil(decades / MOST); ; every += 1) {
    const splits = powers(low, high, every, [1]);
    if (splits.length <= most) return splits;
  }
}

/** How many labels fit along an axis when each needs some room: at least three, so that it can be read. */
export function labelsWithin(length: number, room: number): number {
  // A plot that has no size yet has no length either.
  return Math.min(MOST, Math.max(3, Math.floor(length / room) || 0));
}

function powers(low: number, high: number, every: number, factors: readonly number[]): number[] {
  const splits: number[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += every) {
    for (const factor of factors) splits.push(Number(`${factor}e${power}`));
  }
  return splits.filter((value) => value >= low && value <= high);
}

function evenSplits(low: number, high: number, most: number): number[] {
  const rough = (high - low) / STEPS;
  for (let power = Math.floor(Math.log10(rough)); ; power += 1) {
    for (const factor of [1, 2, 5]) {
      const step = Number(`${factor}e${power}`);
      if (step < rough) continue;
      const splits = multiples(low, high, step);
      if (splits.length <= most) return splits;
    }
  }
}

function multiples(low: number, high: number, step: number): number[] {
  const splits: number[] = [];
  for (let count = Math.ceil(low / step); count * step <= high; count += 1) {
    splits.push(Number((count * step).toPrecision(12)));
  }
  return splits;
}
