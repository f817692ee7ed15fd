import { expect, test } from '@jest/globals';
import { startCli } from '../test/support/cli.ts';

test('a reader that leaves early is no error', async () => {
  const { child, finished } = startCli(['models', 'list']);
  child.stdout!.destroy();
  expect(await finished).toMatchObject({ code: 0, stderr: '' });
});
