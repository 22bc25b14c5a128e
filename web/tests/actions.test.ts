import { afterAll, beforeAll, expect, test } from 'vitest';
import { lcctl, startEndlessStudy } from './daemon';
import { dashboard } from './pages';

const shown = dashboard();

// The training of the first of two runs goes on until it is stopped; the second waits for room.
beforeAll(async () => {
  await startEndlessStudy('endless', '--seed', '0,1');
  while ((await stages()).running === 0) await new Promise((resolve) => setTimeout(resolve, 200));
});
afterAll(async () => {
  await lcctl('--quiet', 'cancel', 'endless');
});

type Counts = Record<'running' | 'cancelled', number>;

async function stages(): Promise<Counts> {
  return (await shown.api<{ summary: { stages: Counts } }>('/studies/endless/board')).summary
    .stages;
}

/** Asks for an action, reads what would change, and confirms it. */
async function act(button: RegExp, confirm: RegExp): Promise<string> {
  const { page } = shown;
  await page.getByRole('button', { name: button }).first().click();
  const dialog = page.getByRole('dialog');
  const sure = dialog.getByRole('button', { name: confirm });
  await sure.waitFor();
  const text = await dialog.innerText();
  await sure.click();
  await dialog.waitFor({ state: 'hidden' });
  return text;
}

test('nothing happens before it is confirmed', async () => {
  await shown.open('/studies/endless?x=width&y=seed&cells=16;0,1');
  const selection = shown.page.getByRole('region', { name: 'Selection' });
  await selection.getByRole('button', { name: /^Cancel/ }).click();
  const dialog = shown.page.getByRole('dialog');
  await dialog.getByText(/\d+ stages in 2 runs: /).waitFor();
  await shown.page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'hidden' });
  expect((await stages()).cancelled).toBe(0);
});

test('the priority of selected cells is set, and the confirmation says whose', async () => {
  await shown.open('/studies/endless?x=width&y=seed&cells=16;1');
  const text = await act(/^Set priority … 1 run/, /^Set priority of 1 run/);
  expect(text).toMatch(/\d+ stages in 1 run: /);
  const page = await shown.api<{ rows: { cells: unknown[] }[] }>(
    '/studies/endless/runs?columns=seed,priority&sort=seed',
  );
  expect(page.rows.map(({ cells }) => cells)).toEqual([
    [0, 0],
    [1, 10],
  ]);
});

test('selected cells are cancelled, and the map shows it by itself', async () => {
  await shown.open('/studies/endless?x=width&y=seed&value=train&cells=16;1');
  await act(/^Cancel … 1 run/, /^Cancel \d+ stage/);
  await shown.page.getByRole('list', { name: 'Legend' }).getByText('cancelled').waitFor();
  await expect.poll(async () => (await stages()).cancelled).toBeGreaterThan(0);
});

test('what was cancelled is tried again', async () => {
  await shown.open('/studies/endless');
  await act(/^Retry … study endless/, /^Retry \d+ stage/);
  await expect.poll(async () => (await stages()).cancelled).toBe(0);
});

test('runs selected in the table are cancelled', async () => {
  await shown.open('/studies/endless/runs?filter=seed=1');
  await shown.page.getByRole('checkbox', { name: 'Select all rows of this page' }).check();
  await act(/^Cancel … 1 selected run/, /^Cancel \d+ stage/);
  await expect.poll(async () => (await stages()).cancelled).toBeGreaterThan(0);
});

test('who reads further up in a log that grows keeps the place, is shown more of it, and its end', async () => {
  const { page } = shown;
  let lines = 20_000;
  const asked: number[] = [];
  const routed = '**/api/v1/stages/*/log?*';
  await page.route(routed, async (route) => {
    const bytes = Number(new URL(route.request().url()).searchParams.get('bytes'));
    asked.push(bytes);
    const all = Array.from({ length: lines }, (_, at) => `line ${String(at).padStart(5, '0')}\n`);
    const text = all.slice(-Math.floor(bytes / 11)).join('');
    await route.fulfill({ json: { attempt: 1, text, total_bytes: 11 * lines } });
  });
  await shown.open('/studies/endless/runs?filter=seed=0');
  await page.getByRole('region', { name: 'Runs' }).getByRole('link').first().click();
  await page.getByRole('button', { name: /^train: running/ }).click();
  const log = page.getByLabel('Log', { exact: true });
  await log.getByText('line 19999').waitFor();
  expect(await topLine()).toBeGreaterThan(19_900);
  await log.evaluate((box) => {
    box.scrollTop = box.scrollHeight / 2;
  });
  await page.getByText('Paused while you read.').waitFor();
  const read = await topLine();
  await page.getByRole('button', { name: 'Show more' }).click();
  await log.getByText('line 00000').waitFor();
  expect(await topLine()).toBe(read);
  await page.getByText('Paused while you read.').waitFor();
  await page.getByRole('button', { name: 'Follow' }).click();
  await page.getByText('Following').waitFor();
  await expect.poll(topLine).toBeGreaterThan(19_900);
  await log.evaluate((box) => {
    box.scrollTop = box.scrollHeight / 2;
  });
  await page.getByText('Paused while you read.').waitFor();
  expect(await topLine()).toBe(read);
  lines += 500;
  await lcctl('--quiet', 'cancel', 'endless', '--stage', 'train');
  await log.getByText('line 20499').waitFor();
  expect(await topLine()).toBe(read);
  expect(await page.getByText('Paused while you read.').count()).toBe(0);
  expect(asked.filter((bytes) => bytes > 65_536).length).toBe(1);
  await page.unroute(routed);
  await lcctl('--quiet', 'retry', 'endless');
});

/** The number of the first line of the log that is seen. */
async function topLine(): Promise<number> {
  return shown.page.getByLabel('Log', { exact: true }).evaluate((box) => {
    box.scrollIntoView({ block: 'center' });
    const { left, top } = box.getBoundingClientRect();
    const at = document.caretRangeFromPoint(left + 20, top + 20);
    const text = box.textContent;
    const from = text.lastIndexOf('\n', (at?.startOffset ?? 0) - 1) + 1;
    return Number(/\d+/.exec(text.slice(from))?.[0]);
  });
}

test('a run is cancelled from its own page, which shows it by itself', async () => {
  await shown.open('/studies/endless/runs?filter=seed=0');
  await shown.page.getByRole('region', { name: 'Runs' }).getByRole('link').first().click();
  await act(/^Cancel … run /, /^Cancel \d+ stage/);
  await shown.page.getByRole('button', { name: /^train: cancelled/ }).waitFor();
});
