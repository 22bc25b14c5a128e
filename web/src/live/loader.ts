/**
 * Fetching what a page shows, again and again while it moves: one request at a time, and what is shown
 * is always one whole answer.
 */

export interface LoaderHandlers<T> {
  /** The signal says when nobody waits for the answer any more. */
  fetch(signal: AbortSignal): Promise<T>;
  loaded(value: T): void;
  failed(error: unknown): void;
}

export interface Loader {
  /** Fetches at once; during another fetch, once more afterwards. */
  load(): void;
  /** Fetches at once, in place of another fetch: what is asked is another question. */
  restart(): void;
  /** The same as `load`, but no sooner than the pace allows. */
  soon(): void;
  /** Forgets what is being fetched and what was still to be. */
  stop(): void;
}

/** `pace`: milliseconds from one answer to the next request that nobody waits for. */
export function createLoader<T>(handlers: LoaderHandlers<T>, pace = 500): Loader {
  let running: AbortController | undefined;
  let again: 'load' | 'soon' | undefined;
  let last = -Infinity;
  let timer: ReturnType<typeof setTimeout> | undefined;

  async function run(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    const own = new AbortController();
    running = own;
    try {
      const value = await handlers.fetch(own.signal);
      if (running === own) handlers.loaded(value);
    } catch (error) {
      if (running === own) handlers.failed(error);
    }
    if (running !== own) return;
    running = undefined;
    last = performance.now();
    const next = again;
    again = undefined;
    if (next === 'load') load();
    if (next === 'soon') soon();
  }

  function load(): void {
    if (running) again = 'load';
    else void run();
  }

  function restart(): void {
    stop();
    void run();
  }

  function soon(): void {
    if (running) again ??= 'soon';
    else timer ??= setTimeout(() => void run(), Math.max(0, last + pace - performance.now()));
  }

  function stop(): void {
    running?.abort();
    running = undefined;
    clearTimeout(timer);
    timer = undefined;
    again = undefined;
  }

  return { load, restart, soon, stop };
}
