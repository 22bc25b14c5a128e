/** Where the browser is: the path decides the page, the query holds choices made on it. */
import { tick } from 'svelte';
import { pageKey, parseRoute, readChoice, withChoice } from './route';
import { forgetScroll, keepScroll, restoreScroll, watchScroll } from './scroll';

let path = $state(window.location.pathname);
let query = $state(window.location.search);
const route = $derived(parseRoute(path));

export const location = {
  get query() {
    return query;
  },
  get route() {
    return route;
  },
};

/** A choice of the page that the address keeps, such as the measure of a plot. */
export function choice(key: string): string | undefined {
  return readChoice(query, key);
}

/** A choice that is a number. */
export function numberChoice(key: string): number | undefined {
  const text = choice(key);
  return text === undefined ? undefined : Number(text);
}

/** Puts a choice into the address, without a step in the browser's history. */
export function choose(key: string, value: string | undefined): void {
  chooseAll({ [key]: value });
}

/** Several choices at once. */
export function chooseAll(choices: Record<string, string | undefined>): void {
  for (const [key, value] of Object.entries(choices)) query = withChoice(query, key, value);
  window.history.replaceState(window.history.state, '', path + query);
}

/** Goes to another page. */
export function navigate(to: string): void {
  const before = pageKey(route);
  keepScroll();
  forgetScroll();
  window.history.pushState(null, '', to);
  read();
  if (pageKey(route) !== before) window.scrollTo(0, 0);
}

/** Follows the browser's buttons and catches plain clicks on links to our own pages. */
export function watchLocation(): () => void {
  const controller = new AbortController();
  const { signal } = controller;
  watchScroll(signal);
  window.addEventListener('popstate', back, { signal });
  document.addEventListener('click', follow, { signal });
  return () => {
    controller.abort();
  };
}

function back(): void {
  // The page that is left has no say in it.
  forgetScroll();
  read();
  void tick().then(restoreScroll);
}

function read(): void {
  path = window.location.pathname;
  query = window.location.search;
}

function follow(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target instanceof Element ? event.target.closest('a') : null;
  if (!link || link.target !== '' || link.hasAttribute('download')) return;
  if (link.origin !== window.location.origin || link.hash !== '') return;
  if (parseRoute(link.pathname).page === 'missing') return;
  event.preventDefault();
  navigate(link.pathname + link.search);
}
