import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openStream, streamUrl, type Followed, type Source } from './stream';

class FakeSource implements Source {
  closed = false;
  private listeners = new Map<string, (event: MessageEvent<string>) => void>();

  constructor(readonly url: string) {}

  addEventListener(type: string, listener: (event: MessageEvent<string>) => void): void {
    this.listeners.set(type, listener);
  }

  emit(type: string, data?: unknown): void {
    this.listeners.get(type)?.({ data: JSON.stringify(data) } as MessageEvent<string>);
  }

  close(): void {
    this.closed = true;
  }
}

function setup(followed: Followed = {}) {
  const sources: FakeSource[] = [];
  const handlers = { opened: vi.fn(), moved: vi.fn(), connection: vi.fn() };
  const close = openStream(followed, handlers, (url) => {
    const source = new FakeSource(url);
    sources.push(source);
    return source;
  });
  const latest = () => {
    const source = sources.at(-1);
    if (!source) throw new Error('no connection');
    return source;
  };
  return { sources, handlers, close, latest };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('a lost connection is opened again and says so, so that everything is read anew', () => {
  const { sources, handlers, latest } = setup({ study: 'first' });
  latest().emit('open');
  latest().emit('moved', { version: 41, studies: ['first'], curve: false });
  expect(handlers.moved).toHaveBeenCalledWith({ version: 41, studies: ['first'], curve: false });
  latest().emit('error');
  expect(latest().closed).toBe(true);
  expect(handlers.connection.mock.calls).toEqual([['connecting'], ['live'], ['reconnecting']]);
  vi.advanceTimersByTime(10_000);
  expect(sources.map((source) => source.url)).toEqual([
    '/api/v1/moves?study=first',
    '/api/v1/moves?study=first',
  ]);
  latest().emit('open');
  expect(handlers.opened).toHaveBeenCalledTimes(2);
  expect(handlers.connection).toHaveBeenLastCalledWith('live');
});

test('a stream that falls silent is lost, one with heartbeats is not', () => {
  const { sources, handlers, latest } = setup();
  latest().emit('open');
  for (let beats = 0; beats < 6; beats += 1) {
    vi.advanceTimersByTime(10_000);
    latest().emit('heartbeat', 'still here');
  }
  expect(sources.length).toBe(1);
  expect(handlers.connection).toHaveBeenLastCalledWith('live');
  vi.advanceTimersByTime(30_000);
  expect(sources[0]?.closed).toBe(true);
  expect(handlers.connection).toHaveBeenLastCalledWith('reconnecting');
  expect(sources.length).toBe(2);
});

test('a daemon that takes a connection and says nothing is asked again', () => {
  const { sources } = setup();
  vi.advanceTimersByTime(30_000);
  expect(sources.map(({ closed }) => closed)).toEqual([true, false]);
});

test('pauses grow while the daemon stays away', () => {
  const { sources, latest } = setup();
  for (let second = 0; second < 60; second += 1) {
    if (!latest().closed) latest().emit('error');
    vi.advanceTimersByTime(1000);
  }
  expect(sources.length).toBeGreaterThan(5);
  expect(sources.length).toBeLessThan(14);
});

test('a closed stream stays closed', () => {
  const { sources, close, latest } = setup();
  latest().emit('error');
  close();
  vi.advanceTimersByTime(60_000);
  expect(sources.length).toBe(1);
});

test('a page follows a study, a run, or all', () => {
  expect(streamUrl({})).toBe('/api/v1/moves');
  expect(streamUrl({ study: 'a b' })).toBe('/api/v1/moves?study=a+b');
  expect(streamUrl({ run: 7 })).toBe('/api/v1/moves?run=7');
});
