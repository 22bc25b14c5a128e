import { expect, test } from 'vitest';
import {
  comparePath,
  pageKey,
  parseRoute,
  readChoice,
  runPath,
  STUDY_TABS,
  studyPath,
  withChoice,
} from './route';

test('every page has a path that leads back to it', () => {
  expect(parseRoute('/')).toEqual({ page: 'overview' });
  for (const tab of STUDY_TABS) {
    expect(parseRoute(studyPath('a.b-c_1', tab))).toEqual({ page: 'study', name: 'a.b-c_1', tab });
  }
  expect(parseRoute(runPath(42))).toEqual({ page: 'run', id: 42 });
  expect(parseRoute('/failures')).toEqual({ page: 'failures' });
  const [path = '', query = ''] = comparePath([3, 4]).split('?');
  expect(parseRoute(path)).toEqual({ page: 'compare' });
  expect(readChoice(query, 'runs')).toBe('3,4');
});

test('anything else is missing', () => {
  for (const path of [
    '/runs/',
    '/runs/x',
    '/runs/0',
    '/runs/1/log',
    '/studies/a/b',
    '/studies/a/runs/1',
    '/studies/%E0%A4%A',
    '/compare/1',
    '/login',
  ]) {
    expect(parseRoute(path)).toEqual({ page: 'missing', path });
  }
});

test('the tabs of a study are one page, two studies are not', () => {
  expect(pageKey(parseRoute('/studies/a'))).toBe(pageKey(parseRoute('/studies/a/runs')));
  expect(pageKey(parseRoute('/studies/a'))).not.toBe(pageKey(parseRoute('/studies/b')));
});

test('a choice joins the others and leaves when it is the default', () => {
  expect(withChoice('', 'measure', 'cdnv')).toBe('?measure=cdnv');
  expect(withChoice('?measure=cdnv', 'scale', 'log')).toBe('?measure=cdnv&scale=log');
  expect(withChoice('?measure=cdnv', 'measure', undefined)).toBe('');
  expect(readChoice('?measure=cdnv', 'measure')).toBe('cdnv');
  expect(readChoice('', 'measure')).toBeUndefined();
  expect(studyPath('a', 'runs', { filter: 'depth>=2' })).toBe(
    '/studies/a/runs?filter=depth%3E%3D2',
  );
});
