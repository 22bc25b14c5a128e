/**
 * The stream of live changes. A lost connection is opened again where it ended, with growing pauses;
 * every opening is reported, so that the page can read its data anew: the daemon keeps old changes
 * only for a while.
 */
import type { Change } from '../api/types';

export type Connection = 'connecting' | 'live' | 'reconnecting';

/** The part of EventSource that is used. */
export interface Source {
  addEventListener(type: string, listener: (event: MessageEvent<string>) => void): void;
  close(): void;
}

export interface StreamHandlers {
  opened(): void;
  change(change: Change): void;
  connection(state: Connection): void;
}

const KINDS: readonly Change['body']['kind'][] = ['study', 'stage', 'metrics', 'results'];
const PAUSES = [500, 1000, 2000, 4000, 8000];

/** Opens the stream, of one study or of all; the answer closes it. */
export function openStream(
  study: string | undefined,
  handlers: StreamHandlers,
  create: (url: string) => Source = (url) => new EventSource(url),
): () => void {
  let source: Source | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;
  let after: number | undefined;

  function connect(): void {
    const current = create(streamUrl(study, after));
    source = current;
    current.addEventListener('open', () => {
      failures = 0;
      handlers.connection('live');
      handlers.opened();
    });
    current.addEventListener('error', () => {
      // The browser gives up for good on an error status, so that opening again is done here.
      current.close();
      handlers.connection('reconnecting');
      timer = setTimeout(connect, PAUSES[Math.min(failures, PAUSES.length - 1)]);
      failures += 1;
    });
    for (const kind of KINDS) {
      current.addEventListener(kind, (event) => {
        const change = JSON.parse(event.data) as Change;
        after = change.id;
        handlers.change(change);
      });
    }
  }

  handlers.connection('connecting');
  connect();
  return () => {
    clearTimeout(timer);
    source?.close();
  };
}

/** The address of the stream, from the change after the last one seen. */
export function streamUrl(study: string | undefined, after: number | undefined): string {
  const query = new URLSearchParams();
  if (study !== undefined) query.set('study', study);
  if (after !== undefined) query.set('after', String(after));
  const text = query.toString();
  return `/api/v1/changes${text === '' ? '' : `?${text}`}`;
}
