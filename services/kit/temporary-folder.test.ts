import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from '@jest/globals';
import { packageRoot } from './package-root.ts';

const module = pathToFileURL(join(packageRoot, 'dist', 'services', 'kit', 'temporary-folder.js')).href;

/** Makes a folder in a process of its own, which then ends as `end` says, leaving the folder behind. */
function leaveFolder(end: string): string {
  const script = `import { makeTemporaryFolder } from '${module}'; process.stdout.write(makeTemporaryFolder(), () => ${end});`;
  try {
    return execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  } catch (error) {
    return (error as { stdout: string }).stdout;
  }
}

test('the next process removes the folders of killed processes, but not those of running ones', () => {
  const left = leaveFolder("process.kill(process.pid, 'SIGKILL')");
  expect(existsSync(left)).toBe(true);
  const ofThisProcess = join(dirname(left), basename(left).replace(/-\d+-.{6}$/, `-${process.pid}-aBcDeF`));
  mkdirSync(ofThisProcess);
  try {
    rmSync(leaveFolder('{}'), { recursive: true });
    expect(existsSync(left)).toBe(false);
    expect(existsSync(ofThisProcess)).toBe(true);
  } finally {
    rmSync(ofThisProcess, { recursive: true });
  }
});
