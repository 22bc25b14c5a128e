/** What live changes make of the data of a page. Nothing here draws or fetches. */
import {
  isFinal,
  STAGE_STATES,
  type Change,
  type MetricPoint,
  type RunDetail,
  type RunSummary,
  type StageCounts,
  type StageView,
  type StudyDetail,
  type StudyState,
} from '../api/types';

/** Data after some changes, and what must be fetched since changes do not carry it. */
export interface Reduced<T> {
  value: T;
  /** The data itself changed in a way that changes do not tell. */
  stale: boolean;
  /** There are new rows of results. */
  results: boolean;
}

/** A study after the changes. Runs that did not change stay the same objects. */
export function reduceStudy(study: StudyDetail, changes: readonly Change[]): Reduced<StudyDetail> {
  const mine = changes.filter((change) => change.studies.includes(study.summary.name));
  const latest = latestStages(mine);
  const known = new Set<number>();
  const runs = study.runs.map((run) => {
    for (const stage of run.stages) known.add(stage.id);
    return replaceStages(run, latest);
  });
  const counts = countStages(runs);
  const state = stateOf(counts);
  const value = { ...study, runs, summary: { ...study.summary, stages: counts, state } };
  return {
    value,
    stale:
      mine.some((change) => change.body.kind === 'study') ||
      [...latest.keys()].some((id) => !known.has(id)) ||
      state !== study.summary.state,
    results: mine.some((change) => change.body.kind === 'results'),
  };
}

/** A run after the changes; its outputs and attempts are stale once a stage has another state. */
export function reduceRun(run: RunDetail, changes: readonly Change[]): Reduced<RunDetail> {
  const summary = replaceStages(run.summary, latestStages(changes));
  const before = new Map(run.summary.stages.map((stage) => [stage.id, stage]));
  const moved = summary.stages.some((stage) => {
    const old = before.get(stage.id);
    return old?.state !== stage.state || old.attempts !== stage.attempts;
  });
  const results = changes.some(
    ({ body }) => body.kind === 'results' && body.run === run.summary.id,
  );
  return { value: { ...run, summary }, stale: moved || results, results };
}

/** The points of a run's curve that the changes bring. */
export function pointsOf(run: number, changes: readonly Change[]): MetricPoint[] {
  return changes.flatMap(({ body }) =>
    body.kind === 'metrics' && body.run === run ? body.points : [],
  );
}

/**
 * A curve with further points, by step. A resumed run repeats steps: the newer point takes the place
 * of the older one.
 */
export function mergePoints(
  points: readonly MetricPoint[],
  incoming: readonly MetricPoint[],
): MetricPoint[] {
  const byStep = new Map(points.map((point) => [point.step, point]));
  for (const point of incoming) byStep.set(point.step, point);
  return [...byStep.values()].sort((a, b) => a.step - b.step);
}

/** Stages by state; a `prepare` that runs share counts once. */
export function countStages(runs: readonly RunSummary[]): StageCounts {
  const counts = Object.fromEntries(STAGE_STATES.map((state) => [state, 0])) as {
    -readonly [State in keyof StageCounts]: number;
  };
  const seen = new Set<number>();
  for (const stage of runs.flatMap((run) => run.stages)) {
    if (seen.has(stage.id)) continue;
    seen.add(stage.id);
    counts[stage.state] += 1;
  }
  return counts;
}

/** Where a study stands, by the states of its stages. */
export function stateOf(counts: StageCounts): StudyState {
  if (STAGE_STATES.some((state) => !isFinal(state) && counts[state] > 0)) return 'active';
  if (counts.failed > 0) return 'failed';
  if (counts.cancelled > 0) return 'cancelled';
  return 'done';
}

function latestStages(changes: readonly Change[]): Map<number, StageView> {
  const latest = new Map<number, StageView>();
  for (const { body } of changes) if (body.kind === 'stage') latest.set(body.stage.id, body.stage);
  return latest;
}

function replaceStages(run: RunSummary, latest: ReadonlyMap<number, StageView>): RunSummary {
  if (!run.stages.some((stage) => latest.has(stage.id))) return run;
  return { ...run, stages: run.stages.map((stage) => latest.get(stage.id) ?? stage) };
}
