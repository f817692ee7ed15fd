import { stripVTControlCharacters } from 'node:util';
import { expect, test } from '@jest/globals';
import { prettyLine } from './pretty-line.ts';

const line = (fields: object) =>
  JSON.stringify({ level: 30, time: '2026-01-02T03:04:05.678Z', service: 'x', ...fields });
const withoutTime = (text: string) => text.replace(/^\d\d:\d\d:\d\d {2}/, '');

test('a line is its time, its message and its fields', () => {
  const json = line({ job: 'a1', seconds: 8.25, files: ['video'], trace_id: 'f', notice: true, msg: 'job succeeded' });
  const text = prettyLine(json);
  expect(text).toMatch(/^\d\d:\d\d:\d\d /);
  expect(withoutTime(text)).toBe('job succeeded  job=a1 seconds=8.25 files=["video"]\n');
});

test('warnings and errors are marked, and an error shows its stack', () => {
  expect(withoutTime(prettyLine(line({ level: 40, msg: 'slow' })))).toBe('warning  slow\n');
  const err = { message: 'no', stack: 'Error: no\n    at here' };
  expect(withoutTime(prettyLine(line({ level: 50, err, msg: 'failed' })))).toBe(
    'error  failed\nError: no\n    at here\n',
  );
  expect(withoutTime(prettyLine(line({ level: 50, err })))).toBe('error  no\nError: no\n    at here\n');
});

test('details are shown on request', () => {
  const json = line({ msg: 'request', status: 200 });
  expect(prettyLine(json)).toBe('');
  expect(withoutTime(prettyLine(json, { hasDetails: true }))).toBe('request  status=200\n');
});

test("a caller's text cannot control the terminal", () => {
  const text = prettyLine(line({ notice: true, msg: 'a\u001b[2Jb\nc', from: '\u0007\u009b2J' }));
  expect(withoutTime(text)).toBe('a\\u001b[2Jb\\nc  from=\\u0007\\u009b2J\n');
});

test('colours change only the colours', () => {
  const json = line({ level: 40, job: 'a1', msg: 'slow' });
  const colored = prettyLine(json, { hasColors: true });
  expect(colored).toContain('\u001b[');
  expect(stripVTControlCharacters(colored)).toBe(prettyLine(json));
});
