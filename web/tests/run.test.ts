import { expect, test } from 'vitest';
import { choices, dashboard, inspect } from './pages';

const shown = dashboard();

async function openRun(study: string, query = ''): Promise<void> {
  const { rows } = await shown.api<{ rows: { run: number }[] }>(`/studies/${study}/runs?limit=1`);
  await shown.open(`/runs/${rows[0]?.run ?? 0}${query}`);
  await shown.page.getByRole('group', { name: 'Stages and what they depend on' }).waitFor();
}

test('a run shows its stages as a graph, its curves, measures and configuration', async () => {
  const { page } = shown;
  await openRun('tour');
  const graph = page.getByRole('group', { name: 'Stages and what they depend on' });
  for (const kind of ['prepare', 'train', 'evaluate', 'means', 'vars', 'decs', 'analyze']) {
    await graph.getByRole('button', { name: new RegExp(`^${kind}.*: done`) }).waitFor();
  }
  await page.getByRole('img', { name: /^loss/ }).first().waitFor();
  for (const name of ['Stages', 'Training', 'Measures', 'Configuration']) {
    await page.getByRole('heading', { name, level: 2 }).waitFor();
  }
  await page.getByRole('region', { name: 'Measures' }).getByText('etf_error').waitFor();
  expect(await page.getByText('learning_rate', { exact: true }).count()).toBeGreaterThan(0);
  await inspect(page, 'run');
});

test('a stage opens with its attempts and log, and the address keeps it', async () => {
  const { page } = shown;
  await openRun('tour');
  await page.getByRole('button', { name: /^train: done/ }).click();
  await page.getByRole('region', { name: 'Attempts' }).waitFor();
  expect(await page.getByLabel('Log', { exact: true }).innerText()).not.toBe('');
  expect(Number(choices(page)['stage'])).toBeGreaterThan(0);
  await page.reload();
  await page.getByRole('heading', { name: 'train', exact: true, level: 3 }).waitFor();
  await inspect(page, 'run-stage');
  await page.getByRole('button', { name: 'Close train' }).click();
  expect(choices(page)).toEqual({});
});

test('a failed run opens at what failed, with every attempt', async () => {
  const { page } = shown;
  await openRun('broken');
  await page.getByRole('heading', { name: 'train', exact: true, level: 3 }).waitFor();
  const attempts = page.getByRole('region', { name: 'Attempts' });
  expect(await attempts.innerText()).toContain('loss NaN');
  await page
    .getByLabel('Log', { exact: true })
    .getByText(/loss NaN/)
    .waitFor();
  await inspect(page, 'run-failed');
});

test('a retry is watched where it was asked for, and what is closed leaves the focus to its place', async () => {
  const { page } = shown;
  const active = () => page.evaluate(() => document.activeElement?.textContent ?? '');
  await openRun('broken');
  const panel = page.getByRole('region', { name: 'train' });
  const tries = await panel.getByRole('rowheader').count();
  await panel.getByRole('button', { name: /^Retry/ }).click();
  await page
    .getByRole('dialog')
    .getByRole('button', { name: /^Retry \d+ stage/ })
    .click();
  await expect.poll(() => panel.getByRole('rowheader').count()).toBeGreaterThan(tries);
  await page.getByRole('button', { name: /^train: failed/ }).waitFor();
  expect(await active()).toMatch(/^(Retry|Cancel)/);
  await panel.getByRole('button', { name: 'Close train' }).click();
  await panel.waitFor({ state: 'detached' });
  expect(await active()).toContain('train: failed');
});

test('curves are smoothed, logarithmic, along tokens, and zoomed by dragging', async () => {
  const { page } = shown;
  await openRun('tour');
  const loss = page.getByLabel(/^loss .* by /).first();
  await loss.waitFor();
  await page.getByLabel('Log y', { exact: true }).first().check();
  await page.getByRole('combobox', { name: 'Along' }).selectOption('tokens');
  await page
    .getByLabel(/^loss .* by tokens/)
    .first()
    .waitFor();
  await page.getByRole('slider', { name: 'Smoothing' }).press('ArrowRight');
  const kept = choices(page);
  expect(Object.keys(kept).length).toBeGreaterThanOrEqual(2);
  const box = await loss.boundingBox();
  if (!box) throw new Error('the curve is not shown');
  await page.mouse.move(box.x + box.width * 0.4, box.y + 100);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.7, box.y + 100, { steps: 5 });
  await page.mouse.up();
  await page.getByRole('button', { name: 'Show all' }).click();
  await page.getByText('Drag to zoom').waitFor();
});

test('other runs are drawn over its curve', async () => {
  const { page } = shown;
  await openRun('tour');
  await page.getByText('Add a run …').click();
  const found = page.getByRole('button', { name: /^01x0032_01d01/ });
  await found.click();
  expect(await page.evaluate(() => document.activeElement?.getAttribute('type'))).toBe('search');
  await page.getByRole('button', { name: 'Take 01x0032_01d01 out' }).waitFor();
  expect(choices(page)['with']).toMatch(/^\d+$/);
  await page.getByRole('link', { name: 'Compare configurations' }).waitFor();
});
