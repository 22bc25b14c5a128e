/** An answer of the daemon that a component shows, and reads again when something moved. */
import { untrack } from 'svelte';
import { createLoader } from './loader';

export interface Reading<T> {
  /** The newest answer; kept while a new one is on its way and when it fails. */
  readonly value: T | undefined;
  /** Why there was no answer to what is asked now. */
  readonly error: unknown;
  /** Whether what is shown answers an earlier question. */
  readonly stale: boolean;
  /** Asks again at once. */
  load(): void;
}

export interface Question<Q, T> {
  /** What is asked for; a new question is asked at once. `undefined` while there is none. */
  of: () => Q | undefined;
  fetch: (question: Q, signal: AbortSignal) => Promise<T>;
  /** A number that rises when something moved. */
  moved?: () => number;
  /** Milliseconds after which it is asked again though nothing moved; never while the page is out of sight. */
  every?: () => number | undefined;
  /** Milliseconds between answers while things move: large views take their time. */
  pace?: number;
}

/** To be called while a component starts. */
export function createReading<Q, T>({
  of,
  fetch,
  moved,
  every,
  pace = 500,
}: Question<Q, T>): Reading<T> {
  let value: T | undefined = $state.raw();
  let error: unknown = $state.raw();
  let answered: string | undefined = $state();
  const asked = $derived(JSON.stringify(of()));
  let running = '';

  const loader = createLoader<T | undefined>(
    {
      fetch: (signal) => {
        const question = untrack(of);
        running = JSON.stringify(question);
        return question === undefined ? Promise.resolve(undefined) : fetch(question, signal);
      },
      // The answer to a question that nobody asks any more is followed by the one that counts.
      loaded: (next) => {
        if (running !== untrack(() => asked)) return;
        value = next;
        error = undefined;
        answered = running;
      },
      failed: (reason) => {
        if (running === untrack(() => asked)) error = reason;
      },
    },
    pace,
  );

  $effect(() => {
    if (asked !== undefined) untrack(loader.restart);
  });
  const soon = () => {
    if (untrack(() => asked) !== undefined) loader.soon();
  };
  $effect(() => {
    if (moved && moved() > 0) soon();
  });
  $effect(() => {
    const pause = every?.();
    if (pause === undefined) return;
    const timer = setInterval(() => {
      if (!document.hidden) soon();
    }, pause);
    return () => {
      clearInterval(timer);
    };
  });
  $effect(() => loader.stop);

  return {
    get value() {
      return value;
    },
    get error() {
      return error;
    },
    get stale() {
      return answered !== asked;
    },
    load: loader.load,
  };
}
