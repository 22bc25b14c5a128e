/** Counts what moves, for the readings of a page. */
import type { Moved } from '../api/types';
import { follow } from './follow.svelte';
import type { Followed } from './stream';

/** To be called while a page's component starts. `saw` is told each event besides. */
export function countMoves(
  what: () => Followed,
  saw?: (event: Moved | undefined) => void,
): { readonly count: number } {
  let count = $state(0);
  follow(what, (event) => {
    count += 1;
    saw?.(event);
  });
  return {
    get count() {
      return count;
    },
  };
}
