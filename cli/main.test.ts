import { expect, test } from '@jest/globals';
import { callCli, startCli } from '../test/support/cli.ts';
import { exitCode } from './exit.ts';

test('a reader that leaves early causes no error', async () => {
  const { child, finished } = startCli(['models', 'list']);
  child.stdout!.destroy();
  expect(await finished).toMatchObject({ code: 0, stderr: '' });
});

test.each<[string, string[], string]>([
  ['an unknown service', ['serve', 'nope'], 'fusionframes: `service` must be one of gateway, .* \\(got "nope"\\)'],
  ['a missing argument', ['jobs', 'show'], "fusionframes: missing required argument 'id'"],
  [
    'a name of control characters',
    ['models', 'describe', '\u001b[2Jx'],
    'fusionframes: .* \\(got "\\\\u001b\\[2Jx"\\)',
  ],
  ['an unknown option', ['models', 'list', '--speed', '9'], "fusionframes: unknown option '--speed'"],
])('the program reports %s in its own name', async (_, args, message) => {
  const { code, stderr } = await callCli(args);
  expect(stderr).toMatch(new RegExp(`^${message}`));
  expect(code).toBe(exitCode.usage);
});
