import { expect, test } from 'vitest';
import { choices, dashboard, inspect } from './pages';

const shown = dashboard();

test('failures are grouped by cause, with what to do and how many stages they took along', async () => {
  await shown.open('/failures');
  const group = shown.page.getByRole('article').first();
  await group.waitFor();
  const text = await group.innerText();
  expect(text).toContain('try a smaller learning rate');
  expect(text).toContain('2 stages failed');
  expect(text).toContain('skipped because of them');
  expect(text).toContain('broken');
  // The same settings end the same: no retry is offered.
  expect(await group.getByRole('button', { name: /^Retry/ }).count()).toBe(0);
  await inspect(shown.page, 'failures');
});

test('each case has its evidence: message, place and the end of its log', async () => {
  await shown.open('/studies/broken/failures');
  const group = shown.page.getByRole('article').first();
  await group.locator('summary').first().click();
  const log = group.getByRole('region', { name: 'End of its log' }).first();
  expect(await log.innerText()).toContain('loss NaN');
  await inspect(shown.page, 'study-failures');
});

test('a group leads to its runs', async () => {
  await shown.open('/studies/broken/failures');
  await shown.page.getByRole('link', { name: 'Runs of broken with a failed train' }).click();
  await shown.page.getByRole('region', { name: 'Runs' }).waitFor();
  expect(choices(shown.page)['filter']).toBe('train=failed');
});

test('a study without failures says so', async () => {
  await shown.open('/studies/tour/failures');
  await shown.page.getByText('Nothing went wrong so far.').waitFor();
});

test('on a phone a long name takes more lines, and no page gets wider than the screen', async () => {
  const { page } = shown;
  const name = 'a'.repeat(64);
  await page.route(/\/api\/v1\/(studies|failures)(\?|$)/, async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ body: (await answer.text()).replaceAll('broken', name) });
  });
  await page.setViewportSize({ width: 400, height: 860 });
  for (const path of ['/', '/failures']) {
    await shown.open(path);
    await page.getByText(name).first().waitFor();
    expect(await page.evaluate(() => document.documentElement.scrollWidth), path).toBe(400);
  }
  await shown.open('/');
  const first = await page.getByRole('rowheader', { name }).boundingBox();
  expect(first?.width).toBeLessThan(200);
  await page.setViewportSize({ width: 1280, height: 860 });
  await page.unrouteAll();
});
