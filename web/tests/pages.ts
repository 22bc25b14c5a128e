/** A signed-in page for the tests of a file, and what must hold on every page of the dashboard. */
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, inject } from 'vitest';
import { launch } from './chromium';
import { takePagesFromDist } from './dist';

const SCREENSHOTS = new URL('../screenshots/', import.meta.url).pathname;
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export const origin = inject('origin');

export interface Dashboard {
  readonly browser: Browser;
  readonly page: Page;
  /** Opens a page of the dashboard and waits for its heading. */
  open(path: string): Promise<void>;
  /** Lets this test pass although the console tells of this. */
  forgive(pattern: RegExp): void;
  /** The daemon's answer, asked with the page's session. */
  api<T>(path: string): Promise<T>;
}

/** To be called once at the top of a file. */
export function dashboard(): Dashboard {
  let browser: Browser;
  let page: Page;
  /** What should never happen: errors, refusals by the security policy, requests to other hosts. */
  let complaints: string[] = [];
  let forgiven: RegExp[] = [];

  beforeAll(async () => {
    browser = await launch();
    const context = await browser.newContext({
      storageState: inject('session'),
      viewport: { width: 1280, height: 860 },
      reducedMotion: 'reduce',
    });
    await takePagesFromDist(context);
    page = await context.newPage();
    page.setDefaultTimeout(15_000);
    page.on('console', (message) => {
      if (message.type() !== 'error' && message.type() !== 'warning') return;
      complaints.push(`${message.location().url}: ${message.text()}`);
    });
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('request', (request) => {
      const url = new URL(request.url());
      if (url.origin !== origin) complaints.push(`request to ${request.url()}`);
    });
  });
  afterEach(() => {
    const own = complaints.filter((text) => !forgiven.some((pattern) => pattern.test(text)));
    complaints = [];
    forgiven = [];
    expect(own, 'errors on the way').toEqual([]);
  });
  afterAll(async () => {
    await browser.close();
  });

  return {
    get browser() {
      return browser;
    },
    get page() {
      return page;
    },
    async open(path) {
      await page.goto(origin + path);
      await page.getByRole('heading', { level: 1 }).waitFor();
    },
    forgive(pattern) {
      forgiven.push(pattern);
    },
    async api<T>(path: string) {
      const answer = await page.request.get(`${origin}/api/v1${path}`);
      expect(answer.ok(), path).toBe(true);
      return (await answer.json()) as T;
    },
  };
}

/** Pictures in both schemes and on a phone; nothing may be wider than the screen, nor hard to use. */
export async function inspect(page: Page, name: string): Promise<void> {
  mkdirSync(SCREENSHOTS, { recursive: true });
  const looks = [
    { look: 'light', colorScheme: 'light', width: 1280 },
    { look: 'dark', colorScheme: 'dark', width: 1280 },
    { look: 'narrow', colorScheme: 'light', width: 400 },
  ] as const;
  for (const { look, colorScheme, width } of looks) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.setViewportSize({ width, height: 860 });
    await page.waitForFunction((wanted) => window.innerWidth === wanted, width);
    const wider = await page.evaluate(
      () => document.documentElement.scrollWidth - window.innerWidth,
    );
    expect(wider, `${name}, ${look}: wider than the screen by`).toBeLessThanOrEqual(0);
    expect(await violations(page), `${name}, ${look}`).toEqual([]);
    await page.screenshot({ path: `${SCREENSHOTS}${name}-${look}.png`, fullPage: true });
  }
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
  await page.setViewportSize({ width: 1280, height: 860 });
}

/** What axe-core finds against accessibility. Evaluated from outside, past the page's own policy. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    const axe = (window as unknown as { axe: typeof import('axe-core') }).axe;
    const { violations: found } = await axe.run();
    return found.map(({ id, nodes }) => `${id}: ${nodes[0]?.html ?? ''} (${nodes.length} in all)`);
  });
}

/** The choices that the address keeps. */
export function choices(page: Page): Record<string, string> {
  return Object.fromEntries(new URL(page.url()).searchParams);
}
