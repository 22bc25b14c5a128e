/** Signs in once for all files, with a link that works once. */
import type { TestProject } from 'vitest/node';
import { launch } from './chromium';
import { lcctl } from './daemon';

type Session = Awaited<ReturnType<import('playwright-core').BrowserContext['storageState']>>;

declare module 'vitest' {
  export interface ProvidedContext {
    origin: string;
    session: Session;
  }
}

export default async function signIn(project: TestProject): Promise<void> {
  const link = await lcctl('login');
  const browser = await launch();
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(link);
  await page.getByRole('heading', { level: 1 }).waitFor();
  project.provide('origin', new URL(link).origin);
  project.provide('session', await context.storageState());
  await browser.close();
}
