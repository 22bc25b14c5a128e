/**
 * Fetching what a page shows, again and again while it moves: one request at a time, and what is shown
 * is always one whole answer.
 */

export interface LoaderHandlers<T> {
  fetch(): Promise<T>;
  loaded(value: T): void;
  failed(error: unknown): void;
}

export interface Loader {
  /** Fetches at once; during another fetch, once more afterwards. */
  load(): void;
  /** The same, but no sooner than the pace allows. */
  soon(): void;
  /** Forgets what was still to be fetched. */
  stop(): void;
}

/** `pace`: milliseconds from one answer to the next request that nobody waits for. */
export function createLoader<T>(handlers: LoaderHandlers<T>, pace = 500): Loader {
  let busy = false;
  let again: 'load' | 'soon' | undefined;
  let last = -Infinity;
  let timer: ReturnType<typeof setTimeout> | undefined;

  async function run(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    busy = true;
    try {
      handlers.loaded(await handlers.fetch());
    } catch (error) {
      handlers.failed(error);
    }
    busy = false;
    last = performance.now();
    const next = again;
    again = undefined;
    if (next === 'load') load();
    if (next === 'soon') soon();
  }

  function load(): void {
    if (busy) again = 'load';
    else void run();
  }

  function soon(): void {
    if (busy) again ??= 'soon';
    else timer ??= setTimeout(() => void run(), Math.max(0, last + pace - performance.now()));
  }

  function stop(): void {
    clearTimeout(timer);
    timer = undefined;
    again = undefined;
  }

  return { load, soon, stop };
}
