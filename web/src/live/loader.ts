/**
 * Fetching a page's data beside the stream of changes: one request at a time, and what changes while
 * an answer is on its way is told to it, so that an old answer never hides a newer change.
 */
import type { Change } from '../api/types';

export interface LoaderHandlers<T> {
  fetch(): Promise<T>;
  /** The answer, and the changes that came while it was on its way. */
  loaded(value: T, missed: Change[]): void;
  failed(error: unknown): void;
}

export interface Loader {
  /** Fetches; during another fetch, once more afterwards. */
  load(): void;
  /** Tells of changes. */
  saw(changes: readonly Change[]): void;
}

export function createLoader<T>(handlers: LoaderHandlers<T>): Loader {
  let missed: Change[] | undefined;
  let again = false;

  async function run(): Promise<void> {
    do {
      again = false;
      missed = [];
      try {
        handlers.loaded(await handlers.fetch(), missed);
      } catch (error) {
        handlers.failed(error);
      }
    } while (again);
    missed = undefined;
  }

  return {
    load() {
      if (missed) again = true;
      else void run();
    },
    saw(changes) {
      missed?.push(...changes);
    },
  };
}
