/** Short names for the schemas of the daemon's OpenAPI document. */
import type { components } from './schema';

type Schemas = components['schemas'];

export type Health = Schemas['Health'];
export type StudySummary = Schemas['StudySummary'];
export type StudyState = Schemas['StudyState'];
export type StageCounts = Schemas['StageCounts'];
export type RunDetail = Schemas['RunDetail'];
export type RunConfig = Schemas['RunConfig'];
export type StageView = Schemas['StageView'];
export type StageKind = Schemas['StageKind'];
export type StageState = Schemas['StageState'];
export type AttemptView = Schemas['AttemptView'];
export type AttemptState = Schemas['AttemptState'];
export type MeasureRow = Schemas['MeasureRow'];
export type Results = Schemas['Results'];
export type LogTail = Schemas['LogTail'];
export type Progress = Schemas['Progress'];
export type Problem = Schemas['Problem'];
export type StudyBoard = Schemas['StudyBoard'];
export type Column = Schemas['Column'];
export type ColumnGroup = Schemas['ColumnGroup'];
export type Cell = Schemas['Cell'];
export type RunsPage = Schemas['RunsPage'];
export type TableRow = Schemas['TableRow'];
export type SavedView = Schemas['SavedView'];
export type Curve = Schemas['Curve'];
export type Compared = Schemas['Compared'];
export type ClassCurve = Schemas['ClassCurve'];
export type Report = Schemas['Report'];
export type Association = Schemas['Association'];
export type Moved = Schemas['Moved'];
export type Axis = Schemas['Axis'];
export type HeatMap = Schemas['HeatMap'];
export type ActionVerb = Schemas['ActionVerb'];
export type Acted = Schemas['Acted'];
export type Changed = Schemas['Changed'];
export type Failures = Schemas['Failures'];
export type FailureGroup = Schemas['FailureGroup'];
export type FailureCase = Schemas['FailureCase'];
export type ClusterView = Schemas['ClusterView'];

/** Stage kinds in order of dependency; the columns of every grid. */
export const STAGE_KINDS = [
  'prepare',
  'train',
  'evaluate',
  'means',
  'vars',
  'decs',
  'analyze',
] as const satisfies readonly StageKind[];

/** Stage states from the first to the final ones. */
export const STAGE_STATES = [
  'waiting',
  'ready',
  'queued',
  'running',
  'done',
  'failed',
  'cancelled',
  'skipped',
] as const satisfies readonly StageState[];

/** Whether nothing further happens to a stage without a person. */
export function isFinal(state: StageState): boolean {
  return state === 'done' || state === 'failed' || state === 'cancelled' || state === 'skipped';
}

/** Whether a retry takes up a stage, by the daemon's rule (`engine::decide::retry`). */
export function mayBeRetried(state: StageState): boolean {
  return state === 'failed' || state === 'cancelled' || state === 'skipped';
}

/** Whether a run has stages of a kind for each checkpoint, not one for all. */
export function isPerCheckpoint(kind: StageKind): boolean {
  return kind !== 'prepare' && kind !== 'train';
}
