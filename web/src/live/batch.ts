/** Gathers what comes in quick succession, so that a page is drawn anew at most so often. */

export interface Batch<T> {
  add(item: T): void;
  /** Forgets what was not handed on yet. */
  clear(): void;
}

/**
 * Hands items on in groups, in order: at once when the last group is at least `interval` milliseconds
 * old, else when that time is over.
 */
export function createBatch<T>(interval: number, flush: (items: T[]) => void): Batch<T> {
  let items: T[] = [];
  let last = -Infinity;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function release(): void {
    timer = undefined;
    last = performance.now();
    const group = items;
    items = [];
    flush(group);
  }

  return {
    add(item) {
      items.push(item);
      timer ??= setTimeout(release, Math.max(0, last + interval - performance.now()));
    },
    clear() {
      clearTimeout(timer);
      timer = undefined;
      items = [];
    },
  };
}
