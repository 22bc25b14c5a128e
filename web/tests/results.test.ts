import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { choices, dashboard, inspect } from './pages';

const shown = dashboard();

async function openResults(study = 'tour', query = '') {
  await shown.open(`/studies/${study}/results${query}`);
  const table = shown.page.getByRole('region', { name: 'Significance' });
  await table.waitFor({ timeout: 30_000 });
  return table;
}

test('every measure stands against validation loss, with significance and power', async () => {
  const table = await openResults();
  const report = await shown.api<{ rows: { measure: string; n: number }[] }>(
    '/studies/tour/report',
  );
  expect(await table.getByRole('rowheader').allInnerTexts()).toEqual(
    report.rows.map(({ measure }) => measure),
  );
  const heads = await table.getByRole('columnheader').allInnerTexts();
  expect(heads).toEqual(expect.arrayContaining(['N', 'R²', 'p', 'p (Holm)', 'Power']));
  await inspect(shown.page, 'results');
});

test('figures lead to runs, against loss, width or depth', async () => {
  const { page } = shown;
  await openResults();
  const figure = page.getByRole('group', { name: /^NC1 against validation loss/ });
  await figure.waitFor();
  await page.getByRole('button', { name: 'against width' }).click();
  await page.getByRole('group', { name: /^NC1 against width/ }).waitFor();
  expect(choices(page)['x']).toBe('width');
  const mark = page.locator('figure svg a').first();
  await mark.hover();
  await page.locator('figcaption').getByText(/01x00/).first().waitFor();
  await mark.click();
  await page.waitForURL(/\/runs\/\d+$/);
});

test('models are chosen with a glob', async () => {
  await openResults();
  await shown.page.getByLabel('Models', { exact: true }).fill('01x0032*');
  await shown.page.getByRole('button', { name: 'Show', exact: true }).click();
  await shown.page.getByText('3 models').waitFor();
  expect(choices(shown.page)['models']).toBe('01x0032*');
});

test('while another choice is computed, what is shown is marked as the earlier one', async () => {
  const { page } = shown;
  const table = await openResults();
  let go: (() => void) | undefined;
  const routed = '**/api/v1/studies/tour/report?models=*';
  await page.route(routed, async (route) => {
    await new Promise<void>((resolve) => (go = resolve));
    await route.continue();
  });
  const figure = page.locator('figure', { has: page.getByRole('heading', { name: 'NC1' }) });
  await figure.getByText('R²').waitFor();
  await page.getByLabel('Models', { exact: true }).fill('01x0032*');
  await page.getByRole('button', { name: 'Show', exact: true }).click();
  await page.getByRole('status').getByText('Computing p-values').waitFor();
  const busy = page.locator('section[aria-busy=true]', { has: table });
  await busy.waitFor();
  expect(await figure.getByText('R²').count()).toBe(0);
  go?.();
  await page.getByText('3 models').waitFor();
  await figure.getByText('R²').waitFor();
  expect(await busy.count()).toBe(0);
  await page.unroute(routed);
});

test('a report that failed is asked for again', async () => {
  shown.forgive(/report.*ERR_FAILED/);
  const { page } = shown;
  const routed = '**/api/v1/studies/tour/report*';
  await page.route(routed, (route) => route.abort());
  await shown.open('/studies/tour/results');
  await page.getByRole('alert').getByText('the daemon does not answer').waitFor();
  await page.unroute(routed);
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByRole('region', { name: 'Significance' }).waitFor();
});

test('a figure is kept as SVG and as PNG', async () => {
  await openResults();
  await shown.page.getByRole('group', { name: /^NC1 against/ }).waitFor();
  for (const [kind, start] of [
    ['SVG', '<svg'],
    ['PNG', '\x89PNG'],
  ] as const) {
    const download = shown.page.waitForEvent('download');
    await shown.page.getByRole('button', { name: `${kind} of NC1`, exact: true }).click();
    const file = readFileSync(await (await download).path());
    expect(file.subarray(0, 200).toString('latin1')).toContain(start);
  }
});

test('all measures of all models are a table, and a file', async () => {
  const { page } = shown;
  await openResults();
  await page.getByText('Every measure of every model').click();
  const table = page.getByRole('region', { name: 'Measures', exact: true });
  await expect.poll(() => table.getByRole('rowheader').count()).toBe(6);
  const download = page.waitForEvent('download');
  await page.getByRole('link', { name: 'All measures as CSV' }).click();
  expect(readFileSync(await (await download).path(), 'utf8')).toMatch(/^model,/);
});

test('a long table of measures comes in pages', async () => {
  const { page } = shown;
  interface Results {
    rows: { model: string }[];
  }
  const results = await shown.api<Results>('/studies/tour/results');
  const rows = Array.from({ length: 250 }, (_, at) => ({ ...results.rows[0], model: `m${at}` }));
  const routed = '**/api/v1/studies/tour/results';
  await page.route(routed, (route) => route.fulfill({ json: { ...results, rows } }));
  await openResults();
  await page.getByText('Every measure of every model').click();
  const models = page.getByRole('region', { name: 'Measures', exact: true }).getByRole('rowheader');
  await expect.poll(() => models.count()).toBe(100);
  await page.getByRole('button', { name: 'Next' }).click();
  await page.getByRole('button', { name: 'Next' }).click();
  await expect.poll(() => models.count()).toBe(50);
  expect(await models.first().innerText()).toBe('m200');
  await page.unroute(routed);
});

test('published results are reported on like a study of one’s own', async () => {
  await openResults('published');
  await shown.page.getByRole('img', { name: /^NC1 against validation loss/ }).waitFor();
  expect(await shown.page.getByRole('navigation', { name: /^Study/ }).innerText()).toBe('Results');
  await inspect(shown.page, 'published');
});
