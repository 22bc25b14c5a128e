/** What a cell of a heat map holds, in words. */
import type { HeatMap } from '../api/types';
import { formatNumber, plural, toNumber } from '../format/number';
import { formatDuration } from '../format/time';
import { STATE_ORDER } from '../parts/states';
import type { Place } from './selection';

/** `depth 2, width 64: train 2 done, 1 failed`. */
export function describe(map: HeatMap, { i, j }: Place): string {
  const index = j * map.x.values.length + i;
  const where = `${named(map.y, j)}, ${named(map.x, i)}`;
  const runs = map.runs[index] ?? 0;
  if (runs === 0) return `${where}: no run`;
  return `${where}: ${valueInWords(map, index, runs)}`;
}

/** A number of the map's column. */
export function formatValue(map: HeatMap, value: number): string {
  if (map.value.kind === 'duration') return formatDuration(value * 1000);
  return formatNumber(value);
}

function valueInWords(map: HeatMap, index: number, runs: number): string {
  const name = map.value.name === 'state' ? '' : `${map.value.name} `;
  if (map.value.kind === 'state') {
    const counts = map.mixed[String(index)];
    if (counts) {
      const parts = STATE_ORDER.filter((state) => counts[state] > 0).map(
        (state) => `${counts[state]} ${state}`,
      );
      return `${name}${parts.join(', ')}`;
    }
    const state = map.state[index];
    if (!state) return `no ${name}stage yet in ${plural(runs, 'run')}`;
    return `${name}${state}${runs > 1 ? ` in all ${runs} runs` : ''}`;
  }
  const mean = map.mean[index];
  if (mean == null) return `no ${name}yet in ${plural(runs, 'run')}`;
  const error = map.se[index];
  const spread = error == null ? '' : ` ± ${formatValue(map, toNumber(error))}`;
  const many = runs > 1 ? `, mean of ${runs} runs` : '';
  return `${name}${formatValue(map, toNumber(mean))}${spread}${many}`;
}

function named(axis: HeatMap['x'], index: number): string {
  const value = axis.values[index];
  return `${axis.name.replaceAll('_', ' ')} ${value === undefined ? '?' : formatNumber(value)}`;
}
