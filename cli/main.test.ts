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
  [
    'a name of control characters',
    ['models', 'describe', '\u001b[2Jx'],
    'fusionframes: .* \\(got "\\\\u001b\\[2Jx"\\)',
  ],
])('the program reports %s in its own name', async (_, args, message) => {
  const { code, stderr } = await callCli(args);
  expect(stderr).toMatch(new RegExp(`^${message}`));
  expect(code).toBe(exitCode.usage);
});

test.each<[string, string[], string]>([
  ['a missing argument', ['jobs', 'show'], "`id` is required. See 'fusionframes jobs show --help'"],
  ['a missing flag', ['plan'], "`--rate <videos/hour>` is required. See 'fusionframes plan --help'"],
  [
    'too many arguments',
    ['generate', 'a', 'cat'],
    'This command takes only `prompt` (got "a", "cat"); quote an argument that contains spaces. See \'fusionframes generate --help\'',
  ],
  [
    'an argument where none is expected',
    ['jobs', 'list', 'x'],
    'This command takes no arguments (got "x"). See \'fusionframes jobs list --help\'',
  ],
  [
    'a flag without its value',
    ['generate', 'cat', '--size'],
    "A value must follow `--size <WxH>`. See 'fusionframes generate --help'",
  ],
  [
    'an unknown flag',
    ['generate', 'cat', '--stps', '9'],
    "`--stps` is not a known option; did you mean --steps? See 'fusionframes generate --help'",
  ],
  [
    'an unknown command',
    ['keys', 'nope'],
    '`command` must be one of create, update, generate, list, revoke (got "nope"). See \'fusionframes keys --help\'',
  ],
  [
    'flags that exclude each other',
    ['generate', 'cat', '--preset', 'nano', '--address', 'localhost:1'],
    "`--preset <name>` cannot be used with `--address <host:port>`. See 'fusionframes generate --help'",
  ],
])('%s is reported by its name, with what is allowed', async (_, args, message) => {
  const { code, stderr } = await callCli(args);
  expect(stderr).toBe(`fusionframes: ${message} (INVALID_ARGUMENT)\n`);
  expect(code).toBe(exitCode.usage);
});

test.each([[['--help']], [['jobs', '--help']], [['--version']]])('%j is not an error', async (args) => {
  expect(await callCli(args)).toMatchObject({ code: exitCode.ok, stderr: '' });
});
