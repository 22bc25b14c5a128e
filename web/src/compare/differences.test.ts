import { expect, test } from 'vitest';
import type { Compared } from '../api/types';
import { namesOf, settingsOf } from './differences';

const run = (id: number, config: object) =>
  ({ run: id, identifier: `r${id}`, studies: ['s'], config }) as unknown as Compared;

test('settings that differ are told from those that are the same', () => {
  const settings = settingsOf([
    run(1, {
      layers: 1,
      training: { batch_size: 8, max_steps: null },
      model: { attention: ['a', 'b'] },
    }),
    run(2, {
      layers: 1,
      training: { batch_size: 16, max_steps: 40 },
      model: { attention: ['a', 'b'] },
    }),
  ]);
  expect(settings.filter((setting) => setting.differs)).toEqual([
    { path: 'training.batch_size', values: ['8', '16'], differs: true },
    { path: 'training.max_steps', values: ['', '40'], differs: true },
  ]);
  expect(settings.find((setting) => setting.path === 'model.attention')?.values).toEqual([
    'a, b',
    'a, b',
  ]);
});

test('runs of different studies that share an identifier are told apart', () => {
  const run = (identifier: string, ...studies: string[]) => ({ identifier, studies });
  expect(
    namesOf([run('01x0016_01d00', 'a'), run('01x0016_01d00', 'b'), run('01x0032_01d00', 'b')]),
  ).toEqual(['a 01x0016_01d00', 'b 01x0016_01d00', '01x0032_01d00']);
});
