/**
 * The real daemon that the pages are on, through the real command.
 *
 * LC_BIN    the folder of lcctl and lc-worker
 * LC_ROOT   its root, with the studies of deploy/test-dashboard.sh: `tour` (done, with results),
 *           `broken` (every training diverges) and `published` (imported results)
 */
import { execFile, spawn } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

const bin = process.env['LC_BIN'];
if (bin === undefined || process.env['LC_ROOT'] === undefined) {
  throw new Error('LC_BIN and LC_ROOT are missing: start the suite with deploy/test-dashboard.sh');
}
const command = `${bin}/lcctl`;

/** What a command of `lcctl` prints. */
export async function lcctl(...args: string[]): Promise<string> {
  return (await run(command, args)).stdout.trim();
}

export async function stopDaemon(): Promise<void> {
  await lcctl('--quiet', 'stop');
}

/** Starts it where it was, so that pages find it again. */
export async function startDaemon(origin: string): Promise<void> {
  const child = spawn(command, ['serve', '--listen', new URL(origin).host], {
    detached: true,
    stdio: 'ignore',
  });
  child.unref();
  for (let tries = 0; tries < 100; tries += 1) {
    const answer = await fetch(origin).catch(() => undefined);
    if (answer) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('the daemon did not come back');
}

/** A study whose training goes on until somebody stops it. */
export async function startEndlessStudy(name: string, ...more: string[]): Promise<void> {
  await lcctl(
    ...['--quiet', 'sweep', '--name', name, '--width', '16', '--heads', '4', '--block-size', '64'],
    ...['--epochs', '1000', '--batch-size', '8', '--checkpoints', 'last', ...more],
  );
}
