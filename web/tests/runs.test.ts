import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { choices, dashboard, inspect, origin } from './pages';

const shown = dashboard();

async function openTable(query = '') {
  await shown.open(`/studies/tour/runs${query}`);
  const table = shown.page.getByRole('region', { name: 'Runs' });
  await table.waitFor();
  return table;
}

/** The names of the rows, from the top. */
async function names(): Promise<string[]> {
  const table = shown.page.getByRole('region', { name: 'Runs' });
  return (await table.getByRole('rowheader').allInnerTexts()).map((text) => text.trim());
}

test('every run has a row, and the address keeps what is asked', async () => {
  await openTable();
  expect((await names()).length).toBe(6);
  await shown.page.getByRole('searchbox', { name: 'Filter' }).fill('width=32 seed=0..1');
  await expect.poll(names).toEqual(['01x0032_01d00', '01x0032_01d01']);
  expect(choices(shown.page)).toEqual({ filter: 'width=32 seed=0..1' });
  await shown.page.reload();
  await expect.poll(names).toEqual(['01x0032_01d00', '01x0032_01d01']);
  await inspect(shown.page, 'runs');
});

test('terms of a filter are typed one after the other', async () => {
  const { page } = shown;
  await openTable();
  const filter = page.getByRole('searchbox', { name: 'Filter' });
  await filter.pressSequentially('width=16 ');
  await expect.poll(async () => (await names()).length).toBe(3);
  await filter.pressSequentially('seed=1');
  await expect.poll(names).toEqual(['01x0016_01d01']);
  expect(await filter.inputValue()).toBe('width=16 seed=1');
});

test('a filter that is not understood says why, and the rows stay', async () => {
  shown.forgive(/runs\?.*400/);
  await openTable();
  await shown.page.getByRole('searchbox', { name: 'Filter' }).fill('val_loss<<3');
  await expect
    .poll(() => shown.page.getByRole('searchbox', { name: 'Filter' }).getAttribute('aria-invalid'))
    .toBe('true');
  expect((await names()).length).toBe(6);
});

test('heads sort, with Shift after the column before', async () => {
  const { page } = shown;
  await openTable('?columns=run,width,seed,val_loss');
  const head = (name: string) => page.getByRole('columnheader', { name });
  const sortBy = (name: string) => head(name).getByRole('button');
  await sortBy('width').click();
  await sortBy('seed').click({ modifiers: ['Shift'] });
  await sortBy('seed').click({ modifiers: ['Shift'] });
  await expect
    .poll(names)
    .toEqual(
      [2, 1, 0]
        .map((seed) => `01x0016_01d0${seed}`)
        .concat([2, 1, 0].map((seed) => `01x0032_01d0${seed}`)),
    );
  expect(choices(page)['sort']).toBe('width,-seed');
  expect(await head('seed').getAttribute('aria-sort')).toBe('descending');
});

test('seeds are averaged, with the error of the mean and the number of runs', async () => {
  const table = await openTable('?columns=width,val_loss');
  await shown.page.getByRole('combobox', { name: 'Average over' }).selectOption('seed');
  await expect.poll(async () => (await names()).length).toBe(2);
  expect(choices(shown.page)['over']).toBe('seed');
  const answer = await shown.api<{ rows: { cells: unknown[] }[] }>(
    '/studies/tour/runs?columns=width,val_loss&over=seed',
  );
  expect(answer.rows[0]?.cells[1]).toMatchObject({ n: 3 });
  expect(await table.innerText()).toContain('±');
  await openTable('?columns=val_loss&over=seed');
  await shown.page.getByRole('checkbox', { name: 'Select width=16' }).waitFor();
  await inspect(shown.page, 'runs-averaged');
});

test('columns are chosen by name', async () => {
  const { page } = shown;
  const table = await openTable();
  await page.getByRole('button', { name: 'Columns …' }).click();
  const dialog = page.getByRole('dialog', { name: 'Columns' });
  await dialog.getByRole('searchbox', { name: 'Find a column' }).fill('learning');
  await dialog.getByRole('checkbox', { name: 'training.learning_rate' }).check();
  await dialog.getByRole('button', { name: 'Done' }).click();
  await table.getByRole('columnheader', { name: 'training.learning_rate' }).waitFor();
  expect(choices(page)['columns']).toContain('training.learning_rate');
});

test('a view is kept by the daemon, found again and removed', async () => {
  const { page } = shown;
  await openTable('?filter=width=32&sort=-val_loss');
  await page.getByRole('button', { name: 'Views …' }).click();
  await page.getByLabel('Save what is shown now as').fill('wide ones');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByRole('button', { name: 'View: wide ones' }).waitFor();
  await openTable();
  await page.getByRole('button', { name: 'Views …' }).click();
  await page.getByRole('link', { name: 'wide ones' }).click();
  await expect.poll(async () => (await names()).length).toBe(3);
  expect(choices(page)).toEqual({ filter: 'width=32', sort: '-val_loss' });
  await page.getByRole('button', { name: 'View: wide ones' }).click();
  await page.getByRole('button', { name: 'Remove the view wide ones' }).click();
  await page.getByText('None yet.').waitFor();
});

test('a view is known by its choices in any order, and one that others removed is gone', async () => {
  const { page } = shown;
  const view = '/api/v1/studies/tour/views/thin%20ones';
  await openTable('?filter=width=16&sort=-val_loss');
  await page.getByRole('button', { name: 'Views …' }).click();
  await page.getByLabel('Save what is shown now as').fill('thin ones');
  const told = page.waitForResponse(
    async (answer) => answer.url().endsWith('/board') && (await answer.text()).includes('thin'),
  );
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByRole('button', { name: 'View: thin ones' }).waitFor();
  await told;
  await page.request.delete(origin + view);
  await page.getByRole('button', { name: 'Views …' }).waitFor();
  await page.request.put(origin + view, {
    data: { name: 'thin ones', query: 'sort=-val_loss&filter=width%3D16' },
  });
  await page.getByRole('button', { name: 'View: thin ones' }).waitFor();
});

test('a view that can’t be removed says why', async () => {
  shown.forgive(/thin.*ERR_FAILED/);
  const { page } = shown;
  const routed = '**/views/thin%20ones';
  await openTable();
  await page.getByRole('button', { name: 'Views …' }).click();
  const remove = page.getByRole('button', { name: 'Remove the view thin ones' });
  await page.route(routed, (route) => route.abort());
  await remove.click();
  await page.getByRole('alert').getByText('the daemon does not answer').waitFor();
  await page.unroute(routed);
  await remove.click();
  await page.getByText('None yet.').waitFor();
});

test('the rows can be downloaded as they are shown, as CSV and as Parquet', async () => {
  await openTable('?filter=width=32&columns=run,val_loss');
  for (const [link, start] of [
    ['CSV', 'run,val_loss\n01x0032_01d00,'],
    ['Parquet', 'PAR1'],
  ] as const) {
    const download = shown.page.waitForEvent('download');
    await shown.page.getByRole('link', { name: link, exact: true }).click();
    const file = readFileSync(await (await download).path());
    expect(file.subarray(0, start.length).toString('latin1')).toBe(start);
  }
});

test('a table of many pages is turned over', async () => {
  const { page } = shown;
  await openTable('?rows=4');
  expect((await names()).length).toBe(4);
  await page.getByRole('button', { name: 'Next' }).click();
  await expect.poll(async () => (await names()).length).toBe(2);
  expect(choices(page)['page']).toBe('2');
});

test('a page beyond the end is the last one', async () => {
  await openTable('?rows=4&page=9');
  await expect.poll(async () => (await names()).length).toBe(2);
  expect(choices(shown.page)['page']).toBe('2');
});

test('what is selected at a checkpoint is looked up, shown and acted on at this checkpoint', async () => {
  const { page } = shown;
  const at = (url: string) => new URL(url).searchParams.get('checkpoint');
  const table = await openTable('?checkpoint=0&filter=val_loss<99&over=seed&columns=width');
  const inside = await table.getByRole('link').first().getAttribute('href');
  expect(at(origin + (inside ?? ''))).toBe('0');
  const lookup = page.waitForRequest(/\/runs\?.*columns=id/);
  await page.getByRole('checkbox', { name: 'Select 16' }).check();
  expect(at((await lookup).url())).toBe('0');
  const asked = page.waitForRequest(/\/actions\?/);
  await page.getByRole('button', { name: /^Retry … 3 selected runs/ }).click();
  expect((await asked).postDataJSON()).toMatchObject({ checkpoint: 0, verb: 'retry' });
  await page.getByText('Nothing would change in 3 runs.').waitFor();
  await page.keyboard.press('Escape');
});

test('an answer to an earlier question does not stand under a later one', async () => {
  const { page } = shown;
  let late: (() => void) | undefined;
  const routed = '**/api/v1/studies/tour/actions?*';
  await page.route(routed, async (route) => {
    const { verb } = route.request().postDataJSON() as { verb: string };
    if (verb === 'retry') await new Promise<void>((resolve) => (late = resolve));
    const [kind, stages] = verb === 'retry' ? ['train', 7] : ['means', 2];
    await route.fulfill({ json: { runs: 1, stages, kinds: [[kind, stages]], note: null } });
  });
  await openTable();
  await page.getByRole('checkbox', { name: 'Select 01x0016_01d00' }).check();
  await page.getByRole('button', { name: /^Retry/ }).click();
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: /^Cancel/ }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('2 stages in 1 run: 2 means.').waitFor();
  const answered = page.waitForResponse(routed);
  late?.();
  await (await answered).finished();
  // Long enough for the page to show it.
  await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 100)));
  expect(await dialog.innerText()).toContain('2 stages in 1 run: 2 means.');
  await page.keyboard.press('Escape');
  await page.unroute(routed);
});

test('selected runs are compared', async () => {
  const { page } = shown;
  await openTable();
  await page.getByRole('checkbox', { name: 'Select 01x0016_01d00' }).check();
  await page.getByRole('checkbox', { name: 'Select 01x0032_01d02' }).check();
  await page.getByText('2 runs selected').waitFor();
  await page.getByRole('link', { name: 'Compare' }).click();
  await page.waitForURL('**/compare?runs=*');
});
