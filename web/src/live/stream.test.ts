import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openStream, streamUrl, type Source } from './stream';

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

function setup(study?: string) {
  const sources: FakeSource[] = [];
  const handlers = { opened: vi.fn(), change: vi.fn(), connection: vi.fn() };
  const close = openStream(study, handlers, (url) => {
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

test('a lost connection is opened again after the last change seen', () => {
  const { sources, handlers, latest } = setup('first');
  latest().emit('open');
  latest().emit('study', { id: 41, studies: ['first'], body: { kind: 'study' } });
  latest().emit('error');
  expect(latest().closed).toBe(true);
  expect(handlers.connection.mock.calls).toEqual([['connecting'], ['live'], ['reconnecting']]);
  vi.advanceTimersByTime(10_000);
  expect(sources.map((source) => source.url)).toEqual([
    '/api/v1/changes?study=first',
    '/api/v1/changes?study=first&after=41',
  ]);
  latest().emit('open');
  expect(handlers.opened).toHaveBeenCalledTimes(2);
  expect(handlers.connection).toHaveBeenLastCalledWith('live');
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

test('without a study the stream is of all', () => {
  expect(streamUrl(undefined, undefined)).toBe('/api/v1/changes');
});
