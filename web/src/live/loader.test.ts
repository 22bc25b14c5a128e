import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createLoader } from './loader';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A loader whose answers are given by hand. */
function setup(pace = 500) {
  const answers: {
    signal: AbortSignal;
    resolve: (value: string) => void;
    reject: (error: Error) => void;
  }[] = [];
  const handlers = {
    fetch: vi.fn(
      (signal: AbortSignal) =>
        new Promise<string>((resolve, reject) => answers.push({ signal, resolve, reject })),
    ),
    loaded: vi.fn(),
    failed: vi.fn(),
  };
  const answer = async (value: string) => {
    answers.at(-1)?.resolve(value);
    await vi.advanceTimersByTimeAsync(0);
  };
  return { answers, answer, handlers, loader: createLoader(handlers, pace) };
}

test('many wishes during a fetch make one more fetch', async () => {
  const { answer, handlers, loader } = setup();
  loader.load();
  loader.load();
  loader.soon();
  loader.load();
  expect(handlers.fetch).toHaveBeenCalledTimes(1);
  await answer('old');
  expect(handlers.fetch).toHaveBeenCalledTimes(2);
  await answer('new');
  await vi.advanceTimersByTimeAsync(5000);
  expect(handlers.fetch).toHaveBeenCalledTimes(2);
  expect(handlers.loaded.mock.calls).toEqual([['old'], ['new']]);
});

test('a steady flow is followed no faster than the pace, and its last event is never missed', async () => {
  const { answer, handlers, loader } = setup(500);
  for (let time = 0; time < 5000; time += 100) {
    loader.soon();
    await vi.advanceTimersByTimeAsync(100);
    await answer(`at ${time}`);
  }
  expect(handlers.fetch.mock.calls.length).toBeLessThanOrEqual(10);
  const before = handlers.fetch.mock.calls.length;
  loader.soon();
  await vi.advanceTimersByTimeAsync(500);
  expect(handlers.fetch).toHaveBeenCalledTimes(before + 1);
});

test('a person does not wait for the pace', async () => {
  const { answer, handlers, loader } = setup(2000);
  loader.load();
  await answer('first');
  loader.soon();
  expect(handlers.fetch).toHaveBeenCalledTimes(1);
  loader.load();
  expect(handlers.fetch).toHaveBeenCalledTimes(2);
  await answer('second');
  await vi.advanceTimersByTimeAsync(5000);
  expect(handlers.fetch).toHaveBeenCalledTimes(2);
});

test('after a failure it can be tried again', async () => {
  const { answers, answer, handlers, loader } = setup();
  loader.load();
  answers[0]?.reject(new Error('away'));
  await vi.advanceTimersByTimeAsync(0);
  expect(handlers.failed).toHaveBeenCalledTimes(1);
  loader.load();
  await answer('data');
  expect(handlers.loaded).toHaveBeenCalledWith('data');
});

test('another question does not wait for the answer to the one before, which is not taken any more', async () => {
  const { answers, answer, handlers, loader } = setup();
  loader.load();
  loader.restart();
  expect(answers.map(({ signal }) => signal.aborted)).toEqual([true, false]);
  answers[0]?.reject(new Error('aborted'));
  await answer('new');
  expect(handlers.loaded.mock.calls).toEqual([['new']]);
  expect(handlers.failed).not.toHaveBeenCalled();
});

test('a stopped loader fetches no more', async () => {
  const { answer, handlers, loader } = setup();
  loader.load();
  loader.load();
  loader.stop();
  await answer('data');
  loader.soon();
  loader.stop();
  await vi.advanceTimersByTimeAsync(5000);
  expect(handlers.fetch).toHaveBeenCalledTimes(1);
});
