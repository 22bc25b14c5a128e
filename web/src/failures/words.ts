/** How attempts ended, in words. */
import type { AttemptState, FailureCase } from '../api/types';

const SIGNALS: Record<number, string> = {
  4: 'SIGILL',
  6: 'SIGABRT',
  7: 'SIGBUS',
  8: 'SIGFPE',
  9: 'SIGKILL',
  11: 'SIGSEGV',
  15: 'SIGTERM',
};

/** The state of an attempt as people say it. */
export function stateWords(state: AttemptState): string {
  const words: Partial<Record<AttemptState, string>> = {
    failed: 'the worker failed',
    timed_out: 'ran into the time limit',
    out_of_memory: 'ran out of memory',
    node_failed: 'the node failed',
    preempted: 'preempted by other jobs',
    lost: 'lost: ended without a message',
  };
  return words[state] ?? state;
}

/** What is known about the end of an attempt, as pairs of a name and a value. */
export function endOf(example: FailureCase): [string, string][] {
  const { message, slurm_state, exit_code, signal, place, node } = example;
  const pairs: [string, string | null | undefined][] = [
    ['Message', message],
    ['Slurm state', slurm_state],
    ['Exit code', exit_code?.toString()],
    [
      'Signal',
      signal == null ? null : `${signal}${SIGNALS[signal] ? ` (${SIGNALS[signal]})` : ''}`,
    ],
    ['Place', place],
    ['Node', node != null && place?.startsWith(node) ? null : node],
  ];
  return pairs.filter((pair): pair is [string, string] => pair[1] != null && pair[1] !== '');
}
