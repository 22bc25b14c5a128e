/**
 * The dashboard in a real browser, on a real daemon that holds a study with results.
 *
 * LC_LOGIN_URL   a login link as `lcctl login` prints it; it works once
 * LC_STUDY       the study to look at; the first one of the list if missing
 * CHROMIUM       the browser; /usr/bin/chromium if missing
 */
import { readFileSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { chromium, type Browser, type Page } from 'playwright-core';

const SCREENSHOTS = new URL('../screenshots/', import.meta.url).pathname;
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const login = process.env['LC_LOGIN_URL'];
if (!login)
  throw new Error('LC_LOGIN_URL is missing: set it to the link that `lcctl login` prints');
const origin = new URL(login).origin;

let browser: Browser;
let page: Page;
let study: string;
/** What should never happen on any page: errors, refusals by the security policy, foreign requests. */
const complaints: string[] = [];

beforeAll(async () => {
  mkdirSync(SCREENSHOTS, { recursive: true });
  browser = await chromium.launch({
    executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  page = await browser.newPage({ viewport: { width: 1280, height: 860 } });
  page.setDefaultTimeout(15_000);
  page.on('console', (message) => {
    if (message.type() !== 'error' && message.type() !== 'warning') return;
    complaints.push(`${message.location().url}: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.origin !== origin) complaints.push(`request to ${url.origin}`);
  });
  await page.goto(login);
  await page.getByRole('heading', { name: 'Studies', level: 1 }).waitFor();
  study = process.env['LC_STUDY'] ?? (await firstStudy());
});

afterAll(async () => {
  await browser.close();
});

async function firstStudy(): Promise<string> {
  return (await page.locator('tbody th a').first().innerText()).trim();
}

async function openStudy(): Promise<void> {
  await page.goto(`${origin}/studies/${study}`);
  await page.getByRole('region', { name: 'Measures' }).waitFor();
}

async function openRun(): Promise<void> {
  await openStudy();
  const runs = page.getByRole('region', { name: 'Runs and their stages' });
  await runs.getByRole('link').first().click();
  await page.getByRole('img', { name: /^Training loss/ }).waitFor();
}

/** Pictures in both schemes and on a phone; nothing may be wider than the screen, nor hard to use. */
async function inspect(name: string): Promise<void> {
  const looks = [
    { look: 'light', colorScheme: 'light', width: 1280 },
    { look: 'dark', colorScheme: 'dark', width: 1280 },
    { look: 'narrow', colorScheme: 'light', width: 400 },
  ] as const;
  for (const { look, colorScheme, width } of looks) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.setViewportSize({ width, height: 860 });
    await page.waitForFunction(
      (wanted) => window.innerWidth === wanted && document.querySelector('main h1') !== null,
      width,
    );
    const wider = await page.evaluate(
      () => document.documentElement.scrollWidth - window.innerWidth,
    );
    expect(wider, `${name}, ${look}: wider than the screen by`).toBeLessThanOrEqual(0);
    expect(await violations(), `${name}, ${look}`).toEqual([]);
    await page.screenshot({ path: `${SCREENSHOTS}${name}-${look}.png`, fullPage: true });
  }
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 1280, height: 860 });
}

/** What axe-core finds against accessibility. Evaluated from outside, past the page's own policy. */
async function violations(): Promise<string[]> {
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    const axe = (window as unknown as { axe: typeof import('axe-core') }).axe;
    const { violations: found } = await axe.run();
    return found.map(({ id, nodes }) => `${id}: ${nodes[0]?.html ?? ''} (${nodes.length} in all)`);
  });
}

test('a browser without a session is told how to get one', async () => {
  const context = await browser.newContext();
  const stranger = await context.newPage();
  const answer = await stranger.goto(`${origin}/`);
  expect(answer?.status()).toBe(401);
  expect(await stranger.innerText('body')).toContain('lcctl login');
  await context.close();
});

test('the studies page lists the study with its state and progress', async () => {
  await page.goto(`${origin}/`);
  const row = page.getByRole('row').filter({ has: page.getByRole('link', { name: study }) });
  await row.waitFor();
  expect(await row.innerText()).toMatch(/active|done|failed|cancelled/);
  expect(await row.getByRole('img').getAttribute('aria-label')).toMatch(/^Stages: .*\d+ done/);
  await page.getByText('Live', { exact: true }).waitFor();
  await inspect('studies');
});

test('a link leads to the study, and the address and title say so', async () => {
  await page.goto(`${origin}/`);
  await page.getByRole('link', { name: study, exact: true }).click();
  await page.getByRole('heading', { name: study, level: 1 }).waitFor();
  expect(new URL(page.url()).pathname).toBe(`/studies/${study}`);
  await expect.poll(() => page.title()).toContain(study);
  await page.goBack();
  await page.getByRole('heading', { name: 'Studies', level: 1 }).waitFor();
});

test('the study page shows every stage of every run and every measure', async () => {
  await openStudy();
  const grid = page.getByRole('region', { name: 'Runs and their stages' });
  const heads = await grid.getByRole('columnheader').allInnerTexts();
  for (const kind of ['prepare', 'train', 'evaluate', 'means', 'vars', 'decs', 'analyze']) {
    expect(heads).toContain(kind);
  }
  const answer = await page.request.get(`${origin}/api/v1/studies/${study}`);
  const detail = (await answer.json()) as { runs: { identifier: string; stages: unknown[] }[] };
  for (const run of detail.runs) {
    await grid.getByRole('link', { name: run.identifier, exact: true }).waitFor();
  }
  const cells = await grid.locator('td.stage svg').count();
  expect(cells).toBe(detail.runs.reduce((sum, run) => sum + run.stages.length, 0));

  const results = await page.request.get(`${origin}/api/v1/studies/${study}/results`);
  const { columns, rows } = (await results.json()) as { columns: string[]; rows: unknown[] };
  const table = page.getByRole('region', { name: 'Measures' });
  expect(await table.getByRole('columnheader').allInnerTexts()).toEqual(['model', ...columns]);
  expect(await table.getByRole('rowheader').count()).toBe(rows.length);
  await page.getByRole('img', { name: /against validation loss/ }).waitFor();
  await inspect('study');
});

test('the measure of the plot is kept in the address', async () => {
  await openStudy();
  await page.getByRole('combobox', { name: 'Measure' }).selectOption('etf_error');
  await page.getByRole('img', { name: /^etf_error against/ }).waitFor();
  expect(new URL(page.url()).searchParams.get('measure')).toBe('etf_error');
  await page.reload();
  await page.getByRole('img', { name: /^etf_error against/ }).waitFor();
});

test('the results can be downloaded as CSV', async () => {
  await openStudy();
  const download = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Download CSV' }).click();
  const text = readFileSync(await (await download).path(), 'utf8');
  expect(text.split('\n')[0]).toMatch(/^model,/);
});

test('the run page shows curve, stages, measures, log, attempts and configuration', async () => {
  await openRun();
  expect(new URL(page.url()).pathname).toMatch(/^\/runs\/\d+$/);
  for (const name of ['Loss', 'Stages', 'Measures', 'Attempts', 'Configuration', /^Log of /]) {
    await page.getByRole('heading', { name, level: 2 }).waitFor();
  }
  const stages = page.getByRole('region', { name: 'Stages' });
  await stages.getByRole('button', { name: 'Log of train' }).click();
  await page.getByRole('heading', { name: 'Log of train' }).waitFor();
  expect(await page.getByText('learning_rate').first().isVisible()).toBe(true);
  await inspect('run');
});

test('the curve can be logarithmic', async () => {
  await openRun();
  await page.getByLabel('Logarithmic').check();
  expect(new URL(page.url()).searchParams.get('scale')).toBe('log');
  await page.getByRole('img', { name: /^Training loss/ }).waitFor();
});

test('what does not exist is said in words', async () => {
  await page.goto(`${origin}/studies/no-such-study`);
  expect(await page.getByRole('alert').innerText()).toContain('no-such-study');
  await page.goto(`${origin}/nowhere`);
  await page.getByRole('heading', { name: 'No such page' }).waitFor();
});

test('a page that lost the daemon says so and recovers by itself', async () => {
  const before = complaints.length;
  // The stream alone is cut: what a daemon that went away looks like to the page.
  await page.route('**/api/v1/changes*', (route) => route.abort());
  await page.goto(`${origin}/studies/${study}`);
  await page.getByText('Reconnecting …').waitFor();
  await page.unroute('**/api/v1/changes*');
  await page.getByText('Live', { exact: true }).waitFor();
  await page.getByRole('region', { name: 'Measures' }).waitFor();
  complaints.splice(before);
});

test('everything is reached by keyboard, with a visible focus', async () => {
  await openStudy();
  await page.locator('body').press('Tab');
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Skip to content');
  await page.keyboard.press('Tab');
  const outline = await page.evaluate(() => {
    const active = document.activeElement;
    return active ? getComputedStyle(active).outlineStyle : 'none';
  });
  expect(outline).toBe('solid');
});

test('nothing on the way was an error, refused by the policy, or asked of another host', () => {
  // The browser reports by itself that there is no such study, which was the wish.
  const own = complaints.filter((text) => !/no-such-study.*404/.test(text));
  expect(own).toEqual([]);
});
