import { expect, test, vi } from 'vitest';
import type { Change } from '../api/types';
import { createLoader } from './loader';

const change = (id: number): Change => ({ id, studies: [], body: { kind: 'study' } });

/** A loader whose answers are given by hand. */
function setup() {
  const answers: { resolve: (value: string) => void; reject: (error: Error) => void }[] = [];
  const handlers = {
    fetch: vi.fn(() => new Promise<string>((resolve, reject) => answers.push({ resolve, reject }))),
    loaded: vi.fn(),
    failed: vi.fn(),
  };
  const settle = async (act: () => void) => {
    act();
    await new Promise((resolve) => setTimeout(resolve));
  };
  return { answers, handlers, settle, loader: createLoader(handlers) };
}

test('many wishes during a fetch make one more fetch', async () => {
  const { answers, handlers, settle, loader } = setup();
  loader.load();
  loader.load();
  loader.load();
  expect(handlers.fetch).toHaveBeenCalledTimes(1);
  await settle(() => answers[0]?.resolve('old'));
  expect(handlers.fetch).toHaveBeenCalledTimes(2);
  await settle(() => answers[1]?.resolve('new'));
  expect(handlers.fetch).toHaveBeenCalledTimes(2);
  expect(handlers.loaded.mock.calls.map(([value]) => value as string)).toEqual(['old', 'new']);
});

test('changes during a fetch come with its answer, others do not', async () => {
  const { answers, handlers, settle, loader } = setup();
  loader.saw([change(1)]);
  loader.load();
  loader.saw([change(2)]);
  loader.saw([change(3)]);
  await settle(() => answers[0]?.resolve('data'));
  expect(handlers.loaded).toHaveBeenCalledWith('data', [change(2), change(3)]);
});

test('after a failure it can be tried again', async () => {
  const { answers, handlers, settle, loader } = setup();
  loader.load();
  await settle(() => answers[0]?.reject(new Error('away')));
  expect(handlers.failed).toHaveBeenCalledTimes(1);
  loader.load();
  await settle(() => answers[1]?.resolve('data'));
  expect(handlers.loaded).toHaveBeenCalledWith('data', []);
});
