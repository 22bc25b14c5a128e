/** One polite live region for screen readers, for what matters: a study is over, a stage failed. */

let text = $state('');

export const announcement = {
  get text() {
    return text;
  },
};

export function announce(message: string): void {
  text = message;
}
