/**
 * The stream that tells that something moved. A lost connection is opened again with growing pauses;
 * every opening is reported, so that the page reads its data anew: nothing is kept for who was away.
 */
import type { Moved } from '../api/types';

export type Connection = 'connecting' | 'live' | 'reconnecting';

/** What a page follows; all if neither. */
export interface Followed {
  study?: string | undefined;
  run?: number | undefined;
}

/** The part of EventSource that is used. */
export interface Source {
  addEventListener(type: string, listener: (event: MessageEvent<string>) => void): void;
  close(): void;
}

export interface StreamHandlers {
  opened(): void;
  moved(moved: Moved): void;
  connection(state: Connection): void;
}

const PAUSES = [500, 1000, 2000, 4000, 8000];
/** The daemon says something every ten seconds: one that is silent for longer hangs, or the way to it is cut. */
const SILENCE = 28_000;

/** Opens the stream; the answer closes it. */
export function openStream(
  followed: Followed,
  handlers: StreamHandlers,
  create: (url: string) => Source = (url) => new EventSource(url),
): () => void {
  let source: Source | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let silence: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;

  function connect(): void {
    const current = create(streamUrl(followed));
    source = current;

    function heard(): void {
      clearTimeout(silence);
      silence = setTimeout(lost, SILENCE);
    }

    function lost(): void {
      // The browser gives up for good on an error status, so that opening again is done here.
      current.close();
      clearTimeout(silence);
      handlers.connection('reconnecting');
      timer = setTimeout(connect, PAUSES[Math.min(failures, PAUSES.length - 1)]);
      failures += 1;
    }

    heard();
    current.addEventListener('open', () => {
      heard();
      failures = 0;
      handlers.connection('live');
      handlers.opened();
    });
    current.addEventListener('error', lost);
    current.addEventListener('heartbeat', heard);
    current.addEventListener('moved', (event) => {
      heard();
      handlers.moved(JSON.parse(event.data) as Moved);
    });
  }

  handlers.connection('connecting');
  connect();
  return () => {
    clearTimeout(timer);
    clearTimeout(silence);
    source?.close();
  };
}

/** The address of the stream. */
export function streamUrl({ study, run }: Followed): string {
  const query = new URLSearchParams();
  if (study !== undefined) query.set('study', study);
  if (run !== undefined) query.set('run', String(run));
  const text = query.toString();
  return `/api/v1/moves${text === '' ? '' : `?${text}`}`;
}
