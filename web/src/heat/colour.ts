/** Colours of numbers: a ramp that is even to the eye, in grey, and for colour-blind people. */

export type Colour = readonly [red: number, green: number, blue: number];

/** Cividis (Nuñez, Anderton, Renslow 2018) at equal steps. */
const RAMP: readonly Colour[] = [
  [0, 34, 78],
  [18, 53, 112],
  [59, 73, 108],
  [87, 93, 109],
  [112, 113, 115],
  [138, 134, 120],
  [165, 156, 116],
  [195, 179, 105],
  [225, 204, 85],
  [253, 231, 55],
];

/** The colour of a share from 0 to 1. */
export function ramp(share: number): Colour {
  const place = Math.max(0, Math.min(1, share)) * (RAMP.length - 1);
  const low = RAMP[Math.floor(place)] ?? RAMP[0];
  const high = RAMP[Math.ceil(place)] ?? low;
  const part = place - Math.floor(place);
  const mix = (channel: 0 | 1 | 2) =>
    Math.round((low?.[channel] ?? 0) * (1 - part) + (high?.[channel] ?? 0) * part);
  return [mix(0), mix(1), mix(2)];
}

/** As style sheets write it. */
export function css([red, green, blue]: Colour): string {
  return `rgb(${red} ${green} ${blue})`;
}

/** Text on a colour: the one of black and white that stands out more. */
export function inkOn([red, green, blue]: Colour): string {
  const linear = (value: number) => (value / 255) ** 2.2;
  const light = 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  return light > 0.18 ? '#000000' : '#ffffff';
}

export interface Scale {
  low: number;
  high: number;
  /** Where a value lies between the two; nothing for what has no place, as zero on a logarithmic scale. */
  share(value: number): number | undefined;
}

/** The scale of these values; logarithmic only where that is possible. */
export function scaleOf(values: readonly number[], log: boolean): Scale | undefined {
  const placed = values.filter((value) => Number.isFinite(value) && (!log || value > 0));
  if (placed.length === 0) return undefined;
  const low = placed.reduce((a, b) => Math.min(a, b));
  const high = placed.reduce((a, b) => Math.max(a, b));
  const on = (value: number) => (log ? Math.log(value) : value);
  return {
    low,
    high,
    share(value) {
      if (!Number.isFinite(value) || (log && value <= 0)) return undefined;
      return high > low ? (on(value) - on(low)) / (on(high) - on(low)) : 0.5;
    },
  };
}
