import { expect, test } from 'vitest';
import { choices, dashboard, inspect } from './pages';

const shown = dashboard();

test('runs are compared by what they differ in, and by their curves', async () => {
  const { page } = shown;
  const { rows } = await shown.api<{ rows: { run: number }[] }>(
    '/studies/tour/runs?filter=seed%3D0&columns=run',
  );
  await shown.open(`/compare?runs=${rows.map(({ run }) => run).join(',')}`);
  const table = page.getByRole('region', { name: 'Configurations' });
  expect(await table.getByRole('rowheader').allInnerTexts()).toEqual(['width']);
  expect(await table.getByRole('cell').allInnerTexts()).toEqual(['16', '32']);
  await page.getByRole('img', { name: /^loss .*01x0016_01d00.*01x0032_01d00/ }).waitFor();
  await inspect(page, 'compare');

  await page.getByLabel('Differences only').uncheck();
  expect(choices(page)['all']).toBe('1');
  expect(await table.getByRole('rowheader').count()).toBeGreaterThan(20);
  await page.getByRole('button', { name: 'Leave out 01x0032_01d00' }).click();
  await page.getByRole('heading', { name: 'Compare 1 run' }).waitFor();
  await page.getByText('Add a run').click();
  await page.getByRole('button', { name: /01x0032_01d01/ }).click();
  await page.getByRole('heading', { name: 'Compare 2 runs' }).waitFor();
});

test('without a run the page says how to choose some', async () => {
  await shown.open('/compare');
  await shown.page.getByText('Select some in the runs table').waitFor();
});
