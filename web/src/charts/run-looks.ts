/** How the lines of several runs look: a colour and a dash of their own, so that neither is needed alone. */
import { groupLook } from './shapes';

export interface RunLook {
  colour: string;
  dash: number[];
  /** The colour, let through by so much. */
  fade(share: number): string;
}

const DASHES: readonly number[][] = [[], [7, 3], [2, 2.5], [9, 3, 2, 3]];

/** The looks of so many runs, in order. */
export function runLooks(count: number, dark: boolean): RunLook[] {
  return Array.from({ length: count }, (_, index) => {
    const { colour } = groupLook(index, count, dark);
    return {
      colour,
      dash: DASHES[index % DASHES.length] ?? [],
      fade: (share) => `${colour.slice(0, -1)} / ${Math.round(share * 100)}%)`,
    };
  });
}
