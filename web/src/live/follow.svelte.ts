/** Connects a page to the stream of live changes for as long as it is shown. */
import { answer, api, ApiError } from '../api/client';
import type { Change } from '../api/types';
import { createBatch } from './batch';
import { openStream, type Connection } from './stream';

/** At most two drawings per second. */
const INTERVAL = 500;
/** A page out of sight gives its connection back: a browser has only six for one daemon. */
const OUT_OF_SIGHT = 20_000;

let connection = $state<Connection>('connecting');
let signedOut = $state(false);

/** How the page is connected to the daemon. */
export const live = {
  get connection(): Connection | 'signed-out' {
    return signedOut ? 'signed-out' : connection;
  },
};

export interface Follower {
  /** The study to follow; `undefined` for all, `null` while it is not known yet. */
  study(): string | undefined | null;
  /** The stream is open: what is fetched from now on misses nothing. */
  opened(): void;
  changes(changes: Change[]): void;
}

/** To be called while a page's component starts. */
export function follow(follower: Follower): void {
  $effect(() => {
    const study = follower.study();
    if (study === null) return;
    const batch = createBatch<Change>(INTERVAL, (changes) => {
      follower.changes(changes);
    });
    let close: (() => void) | undefined;
    const open = () => {
      close ??= openStream(study, {
        opened: () => {
          follower.opened();
        },
        change: (change) => {
          batch.add(change);
        },
        connection: (state) => {
          connection = state;
          if (state === 'live') signedOut = false;
          if (state === 'reconnecting') void askWhy();
        },
      });
    };
    const stop = () => {
      close?.();
      close = undefined;
    };

    let timer: ReturnType<typeof setTimeout> | undefined;
    const watch = () => {
      clearTimeout(timer);
      if (document.hidden) timer = setTimeout(stop, OUT_OF_SIGHT);
      else open();
    };
    document.addEventListener('visibilitychange', watch);
    open();
    return () => {
      document.removeEventListener('visibilitychange', watch);
      clearTimeout(timer);
      stop();
      batch.clear();
    };
  });
}

// A stream does not tell why it was refused; any other call does.
async function askWhy(): Promise<void> {
  try {
    await answer(api.GET('/api/v1/health'));
  } catch (error) {
    signedOut = error instanceof ApiError && error.status === 401;
  }
}
