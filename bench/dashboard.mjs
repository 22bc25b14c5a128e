/**
 * How fast the dashboard is with a large record. Run by bench/dashboard.sh; prints Markdown.
 *
 *     node dashboard.mjs URL TOKEN STUDY MINUTES
 *
 * Answer times are of the whole call on this machine, bytes are those on the wire.
 */
import { createRequire } from 'node:module';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const require = createRequire(new URL('../web/package.json', import.meta.url));
const { chromium } = require('playwright-core');
const [url, token, study, minutes] = process.argv.slice(2);
const headers = { authorization: `Bearer ${token}` };
const base = `/api/v1/studies/${study}`;

const LISTS = [
  '/api/v1/studies',
  `${base}/board`,
  `${base}/runs`,
  `${base}/runs?sort=-val_loss,seed`,
  `${base}/runs?filter=${encodeURIComponent('depth=2 val_loss<3')}&sort=width`,
  `${base}/runs?over=seed&sort=-cdnv`,
  `${base}/runs?offset=9900`,
  `${base}/grid?x=width&y=depth&value=state`,
  `${base}/grid?x=seed&y=width&value=val_loss`,
  `${base}/grid?x=seed&y=width&value=train`,
  `/api/v1/failures?study=${study}`,
  '/api/v1/runs/5',
  '/api/v1/runs/5/curve?points=600&smooth=0.9',
];
const PAGES = [
  '/',
  `/studies/${study}`,
  `/studies/${study}?x=seed&y=width&value=val_loss`,
  `/studies/${study}/runs`,
  `/studies/${study}/runs?over=seed&sort=-val_loss`,
  `/studies/${study}/results`,
  `/studies/${study}/failures`,
  '/runs/5',
];
const REPEAT = 60;

const quantile = (values, share) =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(share * values.length))];

console.log('## Answers\n\n| query | median, ms | p95, ms | bytes |\n|---|---:|---:|---:|');
let worst = 0;
for (const path of LISTS) {
  const times = [];
  let bytes = 0;
  for (let i = 0; i < REPEAT; i += 1) {
    const begun = performance.now();
    const response = await fetch(url + path, { headers: { ...headers, 'accept-encoding': 'identity' } });
    bytes = (await response.arrayBuffer()).byteLength;
    times.push(performance.now() - begun);
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
  }
  const p95 = quantile(times, 0.95);
  worst = Math.max(worst, p95);
  const shown = decodeURIComponent(path.replace('/api/v1', ''));
  console.log(`| \`${shown}\` | ${quantile(times, 0.5).toFixed(1)} | ${p95.toFixed(1)} | ${bytes.toLocaleString('en')} |`);
}
console.log(`\nHighest p95: ${worst.toFixed(1)} ms.`);

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'];
const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
const context = await browser.newContext({ viewport: { width: 1280, height: 860 } });

async function signedIn(context) {
  const answer = await fetch(`${url}/api/v1/login-links`, { method: 'POST', headers });
  const page = await context.newPage();
  await page.goto((await answer.json()).url);
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  return page;
}

console.log('\n## Pages\n\n| page | first paint, ms | data, bytes on the wire |\n|---|---:|---:|');
const first = await signedIn(context);
await first.close();
for (const path of PAGES) {
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send('Network.enable');
  const data = new Map();
  session.on('Network.requestWillBeSent', ({ requestId, request }) => {
    if (request.url.includes('/api/v1/') && !request.url.includes('/moves')) data.set(requestId, 0);
  });
  session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
    if (data.has(requestId)) data.set(requestId, encodedDataLength);
  });
  await page.goto(url + path);
  await page.waitForTimeout(4000);
  const paint = await page.evaluate(
    () => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN,
  );
  const bytes = [...data.values()].reduce((sum, each) => sum + each, 0);
  console.log(`| \`${path}\` | ${paint.toFixed(0)} | ${bytes.toLocaleString('en')} |`);
  await page.close();
}

await browser.close();

// Updates: something moves ten times a second; a page is told at most twice. Tools for developers keep every answer, hundreds
// of megabytes, so a browser is asked for one minute, left alone, and looked at from outside.
const minutesShown = Number(minutes ?? 1);
const profile = mkdtempSync(join(tmpdir(), 'lc-dashboard-'));
const alone = spawn(
  CHROMIUM,
  [...FLAGS, '--remote-debugging-port=0', `--user-data-dir=${profile}`, 'about:blank'],
  { stdio: 'ignore' },
);
const port = await portOf(profile);
const connect = () => chromium.connectOverCDP(`http://127.0.0.1:${port}`);
let connection = await connect();
await (await signedIn(connection.contexts()[0])).close();
const watched = [];
for (const path of [`/studies/${study}?x=seed&y=width&value=train`, `/studies/${study}/runs`]) {
  const page = await connection.contexts()[0].newPage();
  const session = await connection.contexts()[0].newCDPSession(page);
  await session.send('Network.enable');
  const watch = { path, told: 0 };
  session.on('Network.eventSourceMessageReceived', () => (watch.told += 1));
  await page.goto(url + path);
  watched.push(watch);
}
await moveFor(1);
await connection.close();
const early = largestPage(alone.pid);
await moveFor(minutesShown - 1);
const late = largestPage(alone.pid);
connection = await connect();
const pages = connection.contexts()[0].pages();
console.log(`\n## ${minutesShown} minutes of updates\n\n| page | told per second | JS heap, MB |\n|---|---:|---:|`);
for (const { path, told } of watched) {
  const page = pages.find((page) => page.url() === url + path);
  const session = await connection.contexts()[0].newCDPSession(page);
  await session.send('Performance.enable');
  await session.send('HeapProfiler.collectGarbage');
  const { metrics } = await session.send('Performance.getMetrics');
  const heap = metrics.find(({ name }) => name === 'JSHeapUsedSize').value / 1e6;
  console.log(`| \`${path}\` | ${(told / 60).toFixed(2)} | ${heap.toFixed(1)} |`);
}
console.log(`\nOwn memory of the largest page process: ${early.toFixed(0)} MB after a minute, ${late.toFixed(0)} MB at the end.`);
await connection.close();
alone.kill();

/** Moves something ten times a second. */
async function moveFor(minutes) {
  const end = Date.now() + minutes * 60_000;
  for (let priority = 0; Date.now() < end; priority = (priority + 1) % 100) {
    await fetch(`${url}${base}/actions`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify({ verb: 'prioritise', filter: `id=${1 + (priority % 50)}`, kinds: [], priority }),
    });
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** The port of a browser's tools, which it writes into its folder. */
async function portOf(folder) {
  for (;;) {
    try {
      return readFileSync(join(folder, 'DevToolsActivePort'), 'utf8').split('\n')[0];
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** Memory of a browser's largest page process that is its own: not the program's code, which all share. */
function largestPage(browserPid) {
  const parentOf = (id) => Number(/PPid:\s+(\d+)/.exec(readFileSync(`/proc/${id}/status`, 'utf8'))?.[1]);
  let largest = 0;
  for (const id of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (!readFileSync(`/proc/${id}/cmdline`, 'utf8').includes('--type=renderer')) continue;
      let above = Number(id);
      while (above > 1 && above !== browserPid) above = parentOf(above);
      if (above !== browserPid) continue;
      const status = readFileSync(`/proc/${id}/status`, 'utf8');
      largest = Math.max(largest, Number(/RssAnon:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
    } catch {
      // It ended meanwhile.
    }
  }
  return largest;
}
