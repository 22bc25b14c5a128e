/** The time of day, for what counts seconds on the page. Stands still while nothing shows it. */
import { createSubscriber } from 'svelte/reactivity';

const subscribe = createSubscriber((update) => {
  const timer = setInterval(update, 1000);
  return () => {
    clearInterval(timer);
  };
});

/** Milliseconds since 1970; read in a template, it is read again every second. */
export function now(): number {
  subscribe();
  return Date.now();
}
