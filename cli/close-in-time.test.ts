import { spawnSync } from 'node:child_process';
import { expect, test } from '@jest/globals';

/** How a process ends that closes a scope within 0.1 s. */
function endOf(close: string): [number | null, string | null] {
  const program = `
    import { Scope } from '${new URL('../services/kit/scope.js', import.meta.url)}';
    import { closeInTime, leave } from '${new URL('./close-in-time.js', import.meta.url)}';
    const scope = new Scope();
    scope.defer(${close});
    await closeInTime(scope, 'the test', -14.9).catch(() => {});
    setTimeout(() => {}, 60_000);
    leave();`;
  const { status, signal } = spawnSync(process.execPath, ['--input-type=module', '--eval', program]);
  return [status, signal];
}

test('a process whose closing hangs kills itself, any other exits', () => {
  expect(endOf('() => new Promise(() => {})')).toEqual([null, 'SIGKILL']);
  expect(endOf('() => {}')).toEqual([0, null]);
});
