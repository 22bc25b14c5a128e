import { expect, test } from 'vitest';
import { dashboard } from './pages';

const shown = dashboard();

/** Tabs on until something with this text or name has the focus; all on the way shows that it has it. */
async function tabTo(name: RegExp): Promise<void> {
  const { page } = shown;
  for (let presses = 0; presses < 80; presses += 1) {
    await page.keyboard.press('Tab');
    const { text, visible } = await page.evaluate(() => {
      const active = document.activeElement ?? document.body;
      return {
        text: active.getAttribute('aria-label') ?? active.textContent.trim(),
        // What is drawn shows it by its own frame.
        visible: active instanceof SVGElement || getComputedStyle(active).outlineStyle !== 'none',
      };
    });
    expect(visible, `focus on ${text} can be seen`).toBe(true);
    if (name.test(text)) return;
  }
  throw new Error(`${name} is not reached`);
}

test('the first stop skips to the content', async () => {
  const { page } = shown;
  await shown.open('/');
  await page.locator('body').press('Tab');
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Skip to content');
  await page.keyboard.press('Enter');
  expect(await page.evaluate(() => document.activeElement?.id)).toBe('content');
});

test('from the overview to a run, its stage and its log, without a pointer', async () => {
  const { page } = shown;
  await shown.open('/');
  await tabTo(/^tour$/);
  await page.keyboard.press('Enter');
  await page.getByRole('application').waitFor();
  await tabTo(/^Runs$/);
  await page.keyboard.press('Enter');
  await page.getByRole('region', { name: 'Runs' }).waitFor();
  await tabTo(/^01x0016_01d00$/);
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: /^train: done/ }).waitFor();
  await tabTo(/^train: done/);
  await page.keyboard.press('Enter');
  await page.getByLabel('Log', { exact: true }).waitFor();
});

test('a confirmation takes the focus and gives it back', async () => {
  const { page } = shown;
  await shown.open('/studies/broken');
  await page.getByRole('application').waitFor();
  await tabTo(/^Retry …/);
  await page.keyboard.press('Enter');
  await page
    .getByRole('dialog')
    .getByText(/stages in/)
    .waitFor();
  expect(await page.evaluate(() => document.activeElement?.closest('dialog') != null)).toBe(true);
  await page.keyboard.press('Escape');
  expect(await page.evaluate(() => document.activeElement?.textContent)).toContain('Retry');
});
