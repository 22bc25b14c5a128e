/** Light or dark, by the system's setting. */
import { MediaQuery } from 'svelte/reactivity';

const query = new MediaQuery('(prefers-color-scheme: dark)');

export const scheme = {
  get dark() {
    return query.current;
  },
};

/** The value of one of the style sheet's colours; canvases can't read them on their own. */
export function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
