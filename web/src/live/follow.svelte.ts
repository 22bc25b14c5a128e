/** Connects a page to the stream of moves for as long as it is shown. */
import { answer, api, ApiError } from '../api/client';
import { openStream, type Connection, type Followed } from './stream';

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

/**
 * To be called while a page's component starts. `moved` is called when something moved, and when the
 * stream was opened: what is read from then on misses nothing.
 */
export function follow(what: () => Followed, moved: () => void): void {
  $effect(() => {
    const followed = what();
    let close: (() => void) | undefined;
    let greeted = false;
    const open = () => {
      close ??= openStream(followed, {
        opened: () => {
          greeted = false;
          moved();
        },
        moved: () => {
          // The first event only shows that the stream is open.
          if (greeted) moved();
          greeted = true;
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
    // A tab that was opened in the background hears nothing of having been hidden.
    if (!document.hidden) open();
    return () => {
      document.removeEventListener('visibilitychange', watch);
      clearTimeout(timer);
      stop();
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
