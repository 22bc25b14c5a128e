/** What can be chosen for a heat map of a study, and what is shown unless something is. */
import { STAGE_KINDS, type Column, type StudyBoard } from '../api/types';

/** Columns that can be an axis: the grid's own, and settings with numbers in which runs differ. */
export function axisNames(board: StudyBoard): string[] {
  const settings = board.columns.filter(
    (column) => column.group === 'setting' && column.kind === 'number' && column.varies,
  );
  return [...board.axes.map(({ name }) => name), ...settings.map(({ name }) => name)];
}

/** Width across and depth down, as in the paper, if these vary; else the two axes that vary first. */
export function usualAxes(board: StudyBoard): { x: string; y: string } {
  const names = board.axes.map(({ name }) => name);
  const varying = board.axes.filter(({ values }) => values.length > 1).map(({ name }) => name);
  const preferred = ['width', 'depth', 'seed', 'epochs', 'weight_decay', ...names];
  const inOrder = [
    ...preferred.filter((name) => varying.includes(name)),
    ...preferred.filter((name) => names.includes(name)),
  ];
  const x = inOrder[0] ?? 'width';
  return { x, y: inOrder.find((name) => name !== x) ?? 'depth' };
}

export interface ValueGroup {
  title: string;
  names: string[];
}

/** Columns that can be shown: states and numbers. */
export function valueGroups(board: StudyBoard): ValueGroup[] {
  const numbers = (group: Column['group']) =>
    board.columns
      .filter(
        (column) =>
          column.group === group && (column.kind === 'number' || column.kind === 'duration'),
      )
      .map(({ name }) => name);
  return [
    { title: 'States', names: ['state', ...STAGE_KINDS] },
    { title: 'Progress', names: numbers('progress') },
    { title: 'Measures', names: numbers('measure') },
  ].filter(({ names }) => names.length > 0);
}
