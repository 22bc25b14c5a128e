/** Of several questions, the one that was asked last: an answer that comes late is not for it. */

/** To be called for each question; what it returns tells whether none was asked since. */
export function createNewest(): () => () => boolean {
  let asked = 0;
  return () => {
    asked += 1;
    const mine = asked;
    return () => mine === asked;
  };
}
