import { expect, test } from 'vitest';
import { choices, dashboard, inspect, origin } from './pages';

const shown = dashboard();

test('a browser without a session is told how to get one', async () => {
  const context = await shown.browser.newContext();
  const stranger = await context.newPage();
  const answer = await stranger.goto(`${origin}/`);
  expect(answer?.status()).toBe(401);
  expect(await stranger.innerText('body')).toContain('lcctl login');
  await context.close();
});

test('studies are listed with state, progress and failures', async () => {
  await shown.open('/');
  const studies = shown.page.getByRole('region', { name: 'Studies' });
  const tour = studies.getByRole('row', { name: /tour/ });
  expect(await tour.getByRole('img').getAttribute('aria-label')).toMatch(/^Stages: \d+ done$/);
  const { items } = await shown.api<{ items: { name: string; stages: { failed: number } }[] }>(
    '/studies',
  );
  const failed = items.find(({ name }) => name === 'broken')?.stages.failed ?? 0;
  const link = studies.getByRole('row', { name: /broken/ }).getByRole('link', { name: /failed/ });
  expect(await link.innerText()).toContain(String(failed));
  await shown.page.getByText('Live', { exact: true }).waitFor();
  await inspect(shown.page, 'overview');
});

test('published results stand apart from studies and lead to their report', async () => {
  await shown.open('/');
  const published = shown.page.getByRole('region', { name: 'Imported results' }).last();
  expect(await published.getByRole('row', { name: /published/ }).innerText()).toContain('.csv');
  await published.getByRole('link', { name: 'published' }).click();
  await shown.page.getByRole('heading', { name: 'published', level: 1 }).waitFor();
  expect(new URL(shown.page.url()).pathname).toBe('/studies/published/results');
});

test('the daemon says how it is', async () => {
  await shown.open('/');
  const daemon = shown.page.getByRole('region', { name: 'Daemon' });
  const health = await shown.api<{ version: string; root: string }>('/health');
  expect(await daemon.innerText()).toContain(health.version);
  expect(await daemon.innerText()).toContain(health.root);
});

test('why nothing is started is said by the daemon’s side and on the page of a study that waits', async () => {
  const { page } = shown;
  const trouble = 'nothing is started until lc-worker is there';
  const health = await shown.api<Record<string, unknown>>('/health');
  const board = await shown.api<{ summary: Record<string, unknown> }>('/studies/tour/board');
  await page.route('**/api/v1/health', (route) => route.fulfill({ json: { ...health, trouble } }));
  await page.route('**/api/v1/studies/tour/board', (route) =>
    route.fulfill({ json: { ...board, summary: { ...board.summary, state: 'active' } } }),
  );
  await shown.open('/');
  await page.getByRole('region', { name: 'Daemon' }).getByText(trouble).waitFor();
  await shown.open('/studies/tour');
  await page.getByRole('status').getByText(trouble).waitFor();
  await page.unrouteAll();
});

test('what Slurm is doing is said in plain words', async () => {
  const { page } = shown;
  const health = await shown.api<Record<string, unknown>>('/health');
  const cluster = {
    name: 'alps',
    trouble: 'squeue did not answer in 30 s',
    paused: 'the limit of jobs of the account is reached',
    paused_until: new Date(Date.now() + 240_000).toISOString(),
    windows: ['0 18 * * 1-5'],
    open: false,
    opens: new Date(Date.now() + 7_200_000).toISOString(),
    max_queued: 500,
    calls: 812,
    calls_last_minute: 3,
    calls_last_hour: 96,
    tick_seconds: 0.31,
    waits: { 'other jobs are before it in the queue': 120, runs: 16 },
  };
  await page.route('**/api/v1/health', (route) =>
    route.fulfill({ json: { ...health, executor: 'slurm', slots: 0, busy: 136 } }),
  );
  await page.route('**/api/v1/cluster', (route) => route.fulfill({ json: cluster }));
  await shown.open('/');
  const panel = page.getByRole('region', { name: 'Cluster alps' });
  await panel.waitFor();
  const text = await panel.innerText();
  for (const words of [
    'squeue did not answer',
    'No jobs are submitted for a while: the limit of jobs',
    '136 stages, at most 500',
    '120 other jobs are before it in the queue',
    'in 2 h',
    '3 in the last minute, 96 in the last hour',
  ]) {
    expect(text).toContain(words);
  }
  await inspect(page, 'overview-cluster');
  // Left before a look at the real daemon would follow one at this.
  await page.goto('about:blank');
  await page.unrouteAll();
});

test('links lead on, the browser leads back, and title and focus follow', async () => {
  const { page } = shown;
  await shown.open('/');
  await page.getByRole('link', { name: 'tour', exact: true }).click();
  await page.getByRole('heading', { name: 'tour', level: 1 }).waitFor();
  expect(new URL(page.url()).pathname).toBe('/studies/tour');
  await expect.poll(() => page.title()).toContain('tour');
  expect(await page.evaluate(() => document.activeElement?.id)).toBe('content');
  await page.getByRole('link', { name: 'Runs', exact: true }).click();
  await page.getByRole('region', { name: 'Runs' }).waitFor();
  await page.goBack();
  await page.getByRole('application').waitFor();
  await page.goBack();
  await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
});

test('who comes back finds the page where it was left', async () => {
  const { page } = shown;
  await page.setViewportSize({ width: 500, height: 420 });
  await shown.open('/studies/tour/runs');
  const table = page.getByRole('region', { name: 'Runs' });
  const last = table.getByRole('link', { name: '01x0032_01d02' });
  await last.waitFor();
  const scrolled = () => table.evaluate((region) => [window.scrollY, region.scrollLeft]);
  await table.evaluate((region) => {
    window.scrollTo(0, 200);
    region.scrollTo(90, 0);
  });
  const left = await scrolled();
  expect(left.every((distance) => distance > 0)).toBe(true);
  await last.evaluate((link: HTMLElement) => {
    link.click();
  });
  await page.getByRole('group', { name: 'Stages and what they depend on' }).waitFor();
  expect(await page.evaluate(() => window.scrollY)).toBe(0);
  await page.goBack();
  await last.waitFor();
  await expect.poll(scrolled).toEqual(left);
  await page.reload();
  await last.waitFor();
  await expect.poll(scrolled).toEqual(left);
  await page.setViewportSize({ width: 1280, height: 860 });
});

test('a tab keeps what was chosen on it', async () => {
  const { page } = shown;
  await shown.open('/studies/tour/runs?filter=width%3D16&sort=-seed');
  const tabs = page.getByRole('navigation', { name: 'Study tour' });
  await tabs.getByRole('link', { name: 'Grid' }).click();
  await page.getByRole('application').waitFor();
  expect(choices(page)).toEqual({});
  await tabs.getByRole('link', { name: 'Runs' }).click();
  await page.getByRole('region', { name: 'Runs' }).waitFor();
  expect(choices(page)).toEqual({ filter: 'width=16', sort: '-seed' });
});

test('the page of a study with a dot in its name is a page', async () => {
  shown.forgive(/gpt-2.5.*404/);
  await shown.open('/studies/gpt-2.5');
  await shown.page.getByRole('heading', { name: 'gpt-2.5', level: 1 }).waitFor();
});

test('what does not exist is said in words', async () => {
  shown.forgive(/no-such-study.*404/);
  await shown.open('/studies/no-such-study');
  const alert = shown.page.getByRole('alert');
  await alert.waitFor();
  expect(await alert.innerText()).toContain('no-such-study');
  await shown.open('/nowhere');
  await shown.page.getByRole('heading', { name: 'No such page' }).waitFor();
});
