import { expect, test } from 'vitest';
import { endOf, stateWords } from './words';

test('only what is known is told', () => {
  const example = {
    attempt: 'a',
    number: 1,
    stage: 3,
    message: 'the worker was killed by signal 9',
    signal: 9,
    place: 'gpu01, job 7_3',
    node: 'gpu01',
    log: [],
  };
  expect(endOf(example)).toEqual([
    ['Message', 'the worker was killed by signal 9'],
    ['Signal', '9 (SIGKILL)'],
    ['Place', 'gpu01, job 7_3'],
  ]);
  expect(endOf({ ...example, place: null })).toContainEqual(['Node', 'gpu01']);
  expect(stateWords('out_of_memory')).toBe('ran out of memory');
  expect(stateWords('running')).toBe('running');
});
