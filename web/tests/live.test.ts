import { afterAll, expect, test } from 'vitest';
import { lcctl, startDaemon, startEndlessStudy, stopDaemon } from './daemon';
import { dashboard, origin } from './pages';

const shown = dashboard();

afterAll(async () => {
  await lcctl('--quiet', 'cancel', 'moving');
});

test('a study that starts shows up at once, and its page follows it', async () => {
  const { page } = shown;
  await shown.open('/');
  // A model of its own: a cancelled study lets go on what another one needs.
  await startEndlessStudy('moving', '--seed', '7');
  await page.getByRole('link', { name: 'moving', exact: true }).click();
  await page.getByRole('combobox', { name: 'Show' }).selectOption('train');
  const legend = page.getByRole('list', { name: 'Legend' });
  await legend.getByText('running').waitFor({ timeout: 40_000 });
});

test('a training curve grows while one looks at it', async () => {
  const { page } = shown;
  await shown.open('/studies/moving/runs');
  await page.getByRole('region', { name: 'Runs' }).getByRole('link').first().click();
  await page.getByRole('button', { name: /^train: running/ }).waitFor();
  const before = await pointsOfNextCurve();
  await expect.poll(pointsOfNextCurve, { timeout: 30_000 }).toBeGreaterThan(before);
});

/** Points of the next curve that the page reads by itself. */
async function pointsOfNextCurve(): Promise<number> {
  const answer = await shown.page.waitForResponse(/\/curve\?/);
  return ((await answer.json()) as { recorded: number }).recorded;
}

test('a page whose stream was cut says so and recovers by itself', async () => {
  shown.forgive(/moves.*ERR_FAILED/);
  const { page } = shown;
  await page.route('**/api/v1/moves*', (route) => route.abort());
  await shown.open('/studies/tour');
  await page.getByText('Reconnecting …').waitFor();
  await page.unroute('**/api/v1/moves*');
  await page.getByText('Live', { exact: true }).waitFor();
});

test('a daemon that was away is found again, and nothing that happened meanwhile is missed', async () => {
  shown.forgive(/ERR_(CONNECTION|EMPTY|INCOMPLETE)/);
  const { page } = shown;
  await shown.open('/studies/moving?value=train');
  await page.getByText('Live', { exact: true }).waitFor();
  await stopDaemon();
  await page.getByText('Reconnecting …').waitFor();
  // The page keeps what it knew.
  await page.getByRole('application').waitFor();
  await startDaemon(origin);
  await lcctl('--quiet', 'cancel', 'moving');
  await page.getByText('Live', { exact: true }).waitFor({ timeout: 30_000 });
  await page.getByRole('list', { name: 'Legend' }).getByText('cancelled').waitFor();
});

test('a page that was opened in the background listens once it is looked at', async () => {
  const page = await shown.page.context().newPage();
  await page.addInitScript(() => {
    let hidden = true;
    Object.defineProperty(document, 'hidden', { get: () => hidden });
    document.addEventListener('look', () => {
      hidden = false;
      document.dispatchEvent(new Event('visibilitychange'));
    });
  });
  const streams: string[] = [];
  page.on('request', (request) => {
    if (request.url().includes('/api/v1/moves')) streams.push(request.url());
  });
  await page.goto(`${origin}/studies/tour`);
  await page.getByRole('application').waitFor();
  expect(streams).toEqual([]);
  await page.evaluate(() => document.dispatchEvent(new Event('look')));
  await page.getByText('Live', { exact: true }).waitFor();
  await page.close();
});
