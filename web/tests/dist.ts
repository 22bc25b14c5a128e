/**
 * Pages from `web/dist` in place of those that the program was built with, when LC_DIST=1: after
 * `npm run build` a change of a page is tried without building `lcctl` again. Everything else, and the
 * security policy of the pages, is the daemon's.
 */
import { existsSync } from 'node:fs';
import { extname } from 'node:path';
import type { BrowserContext } from 'playwright-core';

const DIST = new URL('../dist', import.meta.url).pathname;
const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};

export async function takePagesFromDist(context: BrowserContext): Promise<void> {
  if (process.env['LC_DIST'] !== '1') return;
  await context.route(/^https?:\/\/[^/]+\/(?!api\/|login)/, async (route) => {
    const path = new URL(route.request().url()).pathname;
    if (route.request().isNavigationRequest()) {
      const answer = await route.fetch();
      const headers = answer.headers();
      delete headers['content-length'];
      delete headers['etag'];
      if (!answer.ok()) await route.fulfill({ response: answer });
      else await route.fulfill({ headers, path: `${DIST}/index.html` });
    } else if (existsSync(DIST + path)) {
      const contentType = TYPES[extname(path)] ?? 'application/octet-stream';
      await route.fulfill({ path: DIST + path, contentType });
    } else {
      await route.continue();
    }
  });
}
