/** How the lines of several runs look: a colour and a dash of their own, so that neither is needed alone. */

export interface RunLook {
  colour: string;
  dash: number[];
  /** The colour, let through by so much. */
  fade(share: number): string;
}

const DASHES: readonly number[][] = [[], [7, 3], [2, 2.5], [9, 3, 2, 3]];

/** The looks of so many runs, in order: colours go from teal over blue to magenta, dashes take turns. */
export function runLooks(count: number, dark: boolean): RunLook[] {
  return Array.from({ length: count }, (_, index) => {
    const share = count > 1 ? index / (count - 1) : 0.35;
    const look = `hsl(${Math.round(178 + share * 150)} 62% ${dark ? 66 : 38}%`;
    return {
      colour: `${look})`,
      dash: DASHES[index % DASHES.length] ?? [],
      fade: (opacity) => `${look} / ${Math.round(opacity * 100)}%)`,
    };
  });
}
