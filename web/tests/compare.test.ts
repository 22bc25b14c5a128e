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

test('of more runs than can be compared the first are shown, and one that is left out makes room', async () => {
  const { page } = shown;
  const [first] = await shown.api<{ run: number }[]>('/runs?ids=1');
  const curve = await shown.api('/runs/1/curve?points=100');
  await page.route('**/api/v1/runs?ids=*', async (route) => {
    const asked = new URL(route.request().url()).searchParams.get('ids')?.split(',') ?? [];
    await route.fulfill({ json: asked.map((id) => ({ ...first, run: Number(id) })) });
  });
  await page.route('**/api/v1/runs/*/curve?*', (route) => route.fulfill({ json: curve }));
  await shown.open(`/compare?runs=${Array.from({ length: 21 }, (_, at) => at + 1).join(',')}`);
  await page.getByRole('heading', { name: 'Compare 20 runs' }).waitFor();
  await page.getByText('Up to 20 can be compared; left out: 1').waitFor();
  const links = page.getByRole('region', { name: 'Configurations' }).getByRole('link');
  await page
    .getByRole('button', { name: /^Leave out/ })
    .first()
    .click();
  await expect.poll(() => links.last().getAttribute('href')).toBe('/runs/21');
  await page.unrouteAll();
});

test('without a run the page says how to choose some', async () => {
  await shown.open('/compare');
  await shown.page.getByText('Select some in the runs table').waitFor();
});
