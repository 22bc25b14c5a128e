/**
 * How far a page is scrolled, kept with its entry of the browser's history: the browser restores that before a page
 * has its answers, when there is nothing to scroll yet.
 */

/** How far the window and the regions within the page are scrolled. */
interface Scrolled {
  top: number;
  regions: Record<string, [left: number, top: number]>;
}

const PAUSE = 150;
/** Milliseconds after which what is not there yet is not waited for any more. */
const PATIENCE = 10_000;

let timer: ReturnType<typeof setTimeout> | undefined;
let restoring: AbortController | undefined;

/** Keeps and restores from now on; the signal ends it. */
export function watchScroll(signal: AbortSignal): void {
  window.history.scrollRestoration = 'manual';
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(keepScroll, PAUSE);
  };
  document.addEventListener('scroll', later, { capture: true, passive: true, signal });
  window.addEventListener('pagehide', keepScroll, { signal });
  restoreScroll();
}

/** To be called before the address changes. */
export function keepScroll(): void {
  clearTimeout(timer);
  if (restoring) return;
  const regions = [...scrollers()].map(([name, { scrollLeft, scrollTop }]) => [
    name,
    [scrollLeft, scrollTop],
  ]);
  const scrolled = { top: window.scrollY, regions: Object.fromEntries(regions) as unknown };
  window.history.replaceState({ scrolled }, '');
}

/** Scrolls to where this entry of the history was left, as soon as there is so much of it, unless somebody scrolls. */
export function restoreScroll(): void {
  forgetScroll();
  const state = window.history.state as { scrolled: Scrolled } | null;
  if (!state) return;
  const { top, regions } = state.scrolled;
  const controller = new AbortController();
  restoring = controller;

  const attempt = () => {
    const there = scrollers();
    const done = Object.entries(regions).map(([name, [left, down]]) => {
      const region = there.get(name);
      region?.scrollTo(left, down);
      return isNear(region?.scrollLeft, left) && isNear(region?.scrollTop, down);
    });
    window.scrollTo(0, top);
    if (isNear(window.scrollY, top) && done.every(Boolean)) forgetScroll();
  };
  const observer = new MutationObserver(attempt);
  observer.observe(document.body, { childList: true, subtree: true });
  const patience = setTimeout(forgetScroll, PATIENCE);
  controller.signal.addEventListener('abort', () => {
    observer.disconnect();
    clearTimeout(patience);
  });
  for (const sign of ['wheel', 'pointerdown', 'keydown'] as const) {
    window.addEventListener(sign, forgetScroll, { signal: controller.signal, passive: true });
  }
  attempt();
}

/** Stays where one is. */
export function forgetScroll(): void {
  restoring?.abort();
  restoring = undefined;
}

/** The regions that scroll, by their name. */
function scrollers(): Map<string, Element> {
  const regions = document.querySelectorAll('main [role="region"][aria-label]');
  return new Map([...regions].map((region) => [region.getAttribute('aria-label') ?? '', region]));
}

function isNear(place: number | undefined, wanted: number): boolean {
  return Math.abs((place ?? 0) - wanted) < 2;
}
