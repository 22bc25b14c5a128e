import { expect, test } from 'vitest';
import { choices, dashboard, inspect } from './pages';

const shown = dashboard();

interface HeatMap {
  x: { values: number[] };
  y: { values: number[] };
  run: (number | null)[];
}

/** Widths by seeds: a cell for each run. */
const RUNS = '/studies/tour?x=width&y=seed';
const MAP = '/studies/tour/grid?x=width&y=seed&value=state';

async function openMap(path = RUNS) {
  await shown.open(path);
  const map = shown.page.getByRole('application');
  await map.waitFor();
  return map;
}

/** The middle of a cell on the screen. */
async function middleOf(i: number, j: number): Promise<{ x: number; y: number }> {
  const { x, y } = await shown.api<HeatMap>(MAP);
  const box = await shown.page.getByRole('application').boundingBox();
  if (!box) throw new Error('the map is not shown');
  return {
    x: box.x + (box.width * (i + 0.5)) / x.values.length,
    y: box.y + (box.height * (j + 0.5)) / y.values.length,
  };
}

test('the grid shows the state of every run, and says what a cell holds', async () => {
  const map = await openMap();
  expect(await map.getAttribute('aria-label')).toMatch(/^state by width across and seed down/);
  const { x, y } = await middleOf(1, 2);
  await shown.page.mouse.move(x, y);
  await shown.page.getByText('seed 2, width 32: done').waitFor();
  expect(await shown.page.getByRole('list', { name: 'Legend' }).innerText()).toContain('done');
  await inspect(shown.page, 'grid');
});

test('a measure is coloured by its mean over the runs of a cell, and the address keeps it', async () => {
  const { page } = shown;
  await openMap('/studies/tour?y=depth');
  await page.getByRole('combobox', { name: 'Show' }).selectOption('val_loss');
  const map = page.getByRole('application', { name: /^val_loss by/ });
  await map.waitFor();
  expect(choices(page)).toEqual({ y: 'depth', value: 'val_loss' });
  await page.reload();
  await map.focus();
  await page.getByText(/val_loss [\d.]+ ± [\d.e−]+, mean of 3 runs/).waitFor();
  await page.getByLabel('Logarithmic').check();
  expect(choices(page)['scale']).toBe('log');
  await inspect(page, 'grid-measure');
});

test('any two axes can be chosen; one that is chosen twice changes places', async () => {
  await openMap();
  await shown.page.getByRole('combobox', { name: 'Across' }).selectOption('seed');
  await shown.page.getByRole('application', { name: /by seed across and width down/ }).waitFor();
  expect(choices(shown.page)).toEqual({ x: 'seed', y: 'width' });
});

test('a click opens the run of a cell, or the table of its runs', async () => {
  const { page } = shown;
  await openMap();
  const { run } = await shown.api<HeatMap>(MAP);
  const one = await middleOf(0, 0);
  await page.mouse.click(one.x, one.y);
  await page.waitForURL(`**/runs/${run[0]}`);
  await openMap('/studies/tour?y=depth');
  const box = await page.getByRole('application').boundingBox();
  await page.mouse.click((box?.x ?? 0) + 20, (box?.y ?? 0) + 10);
  await page.waitForURL('**/studies/tour/runs?*');
  expect(choices(page)['filter']).toBe('width=16 depth=1');
});

test('on a phone a tap opens the cell under it, and the map stays where it is', async () => {
  const { page } = shown;
  await page.setViewportSize({ width: 400, height: 860 });
  const map = await openMap();
  const { run, x: across } = await shown.api<HeatMap>(MAP);
  const place = await middleOf(1, 1);
  const before = await map.boundingBox();
  await page.mouse.move(place.x, place.y);
  await page.getByText('seed 1, width 32: done').waitFor();
  expect(await map.boundingBox()).toEqual(before);
  const fingers = await page.context().newCDPSession(page);
  await fingers.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: [place] });
  await fingers.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] });
  await page.waitForURL(`**/runs/${run[across.values.length + 1]}`);
  await page.setViewportSize({ width: 1280, height: 860 });
});

test('dragging selects a box, a label its column, and the selection is a link', async () => {
  const { page } = shown;
  await openMap();
  const from = await middleOf(0, 0);
  const to = await middleOf(1, 1);
  await page.mouse.move(from.x, from.y);
  await page.mouse.down();
  await page.mouse.move(to.x, to.y, { steps: 4 });
  await page.mouse.up();
  const selection = page.getByRole('region', { name: 'Selection' });
  expect(await selection.innerText()).toContain('4 runs in 4 cells');
  await page.getByRole('button', { name: 'Select width 32' }).click();
  expect(await selection.innerText()).toContain('3 runs in 3 cells');
  await page.reload();
  await selection.waitFor();
  expect(await selection.innerText()).toContain('width 32, every seed');
  await inspect(page, 'grid-selection');
  await selection.getByRole('link', { name: 'Open as table' }).click();
  await page.waitForURL('**/studies/tour/runs?*');
  expect(choices(page)['filter']).toBe('width=32 seed=0,1,2');
});

test('the keyboard moves, selects, lets go and opens', async () => {
  const { page } = shown;
  const map = await openMap();
  await map.focus();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowDown');
  await expect
    .poll(() => page.locator('[aria-live]').allInnerTexts())
    .toContain('seed 1, width 32: done');
  await page.keyboard.press('Shift+ArrowDown');
  const selection = page.getByRole('region', { name: 'Selection' });
  await selection.getByText('in 2 cells: width 32, seed 1 to 2').waitFor();
  await page.keyboard.press('Escape');
  await selection.waitFor({ state: 'detached' });
  await page.keyboard.press('Control+a');
  await selection.getByText('in 6 cells').waitFor();
  await page.keyboard.press('Home');
  await page.keyboard.press('PageUp');
  await page.keyboard.press('Enter');
  const { run } = await shown.api<HeatMap>(MAP);
  await page.waitForURL(`**/runs/${run[0]}`);
});

test('a filter that is not understood says why where it stands', async () => {
  shown.forgive(/grid\?.*400/);
  await openMap();
  const filter = shown.page.getByRole('searchbox', { name: 'Filter' });
  await filter.fill('widht=16');
  await shown.page.getByText(/widht is not a column/).waitFor();
  expect(await filter.getAttribute('aria-invalid')).toBe('true');
  await filter.fill('width=16');
  await shown.page.getByRole('application', { name: /, 1 by 3$/ }).waitFor();
});
