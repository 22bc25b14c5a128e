import { expect, test } from 'vitest';
import type { RunDetail } from '../api/types';
import { stepOf, validationPoints } from './loss';

test('validation losses lie at the steps of their checkpoints', () => {
  expect(stepOf('/lc/models/x/checkpoint-120')).toBe(120);
  const train = { stage: 'train', checkpoints: ['/m/checkpoint-40', '/m/checkpoint-80'] };
  const outputs = [
    { stage: 1, checkpoint: 1, output: { stage: 'evaluate', eval_loss: 2 } },
    { stage: 2, checkpoint: 0, output: { stage: 'evaluate', eval_loss: 3 } },
    { stage: 3, output: train },
  ] as RunDetail['outputs'];
  expect(validationPoints(outputs, 2)).toEqual([
    { step: 40, loss: 3 },
    { step: 80, loss: 2 },
  ]);
});

test('checkpoints keep their indices where only the newest were kept', () => {
  const outputs = [
    { stage: 1, checkpoint: 4, output: { stage: 'evaluate', eval_loss: 2 } },
    { stage: 2, checkpoint: 3, output: { stage: 'evaluate', eval_loss: 3 } },
    { stage: 3, output: { stage: 'train', checkpoints: ['checkpoint-40', 'checkpoint-50'] } },
  ] as RunDetail['outputs'];
  expect(validationPoints(outputs, 5)).toEqual([
    { step: 40, loss: 3 },
    { step: 50, loss: 2 },
  ]);
});
