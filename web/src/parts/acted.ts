/** What can be done to stages, and what it changes, in the form that the confirmation shows. */
import {
  isFinal,
  mayBeRetried,
  STAGE_KINDS,
  type Acted,
  type ActionVerb,
  type Changed,
  type StageView,
} from '../api/types';

/** The actions to offer for these stages. */
export function verbsFor(stages: readonly StageView[]): ActionVerb[] {
  const verbs: ActionVerb[] = [];
  if (stages.some(({ state }) => mayBeRetried(state))) verbs.push('retry');
  if (stages.some(({ state }) => !isFinal(state))) verbs.push('cancel');
  return verbs;
}

/** The answer about one run or stage in the form of that about many. */
export function actedOf({ stages }: Changed): Acted {
  const kinds = STAGE_KINDS.map((kind): Acted['kinds'][number] => [
    kind,
    stages.filter((stage) => stage.kind === kind).length,
  ]);
  return { runs: 1, stages: stages.length, kinds: kinds.filter(([, count]) => count > 0) };
}
