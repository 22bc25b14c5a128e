/** Counts what moves, for the readings of a page. */
import { follow } from './follow.svelte';
import type { Followed } from './stream';

/** To be called while a page's component starts. */
export function countMoves(what: () => Followed): { readonly count: number } {
  let count = $state(0);
  follow(what, () => {
    count += 1;
  });
  return {
    get count() {
      return count;
    },
  };
}
