import { expect, test } from 'vitest';
import { parseRoute, readChoice, runPath, studyPath, withChoice } from './route';

test('every page has a path that leads back to it', () => {
  expect(parseRoute('/')).toEqual({ page: 'studies' });
  expect(parseRoute(studyPath('a.b-c_1'))).toEqual({ page: 'study', name: 'a.b-c_1' });
  expect(parseRoute(runPath(42))).toEqual({ page: 'run', id: 42 });
});

test('anything else is missing', () => {
  for (const path of [
    '/runs/',
    '/runs/x',
    '/runs/0',
    '/studies/a/b',
    '/studies/%E0%A4%A',
    '/login',
  ]) {
    expect(parseRoute(path)).toEqual({ page: 'missing', path });
  }
});

test('a choice joins the others and leaves when it is the default', () => {
  expect(withChoice('', 'measure', 'cdnv')).toBe('?measure=cdnv');
  expect(withChoice('?measure=cdnv', 'scale', 'log')).toBe('?measure=cdnv&scale=log');
  expect(withChoice('?measure=cdnv', 'measure', undefined)).toBe('');
  expect(readChoice('?measure=cdnv', 'measure')).toBe('cdnv');
  expect(readChoice('', 'measure')).toBeUndefined();
});
