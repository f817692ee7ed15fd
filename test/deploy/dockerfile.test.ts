import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { withTemporaryFolder } from '../../services/kit/testing/temporary-folder.ts';

const dockerfile = readFileSync(join(packageRoot, 'deploy', 'Dockerfile'), 'utf8').replaceAll(/\\\n\s*/g, '');

/** The rest of the `RUN` instruction that begins with these words. */
function instruction(words: string): string {
  return dockerfile
    .split('\n')
    .find((line) => line.startsWith(`RUN ${words}`))!
    .slice('RUN '.length);
}

test('an npm that reports success without having finished fails the build', () =>
  withTemporaryFolder(async (folder) => {
    await writeFile(join(folder, 'npm'), '#!/bin/sh\nexit 0\n');
    await chmod(join(folder, 'npm'), 0o755);
    const status = (words: string) =>
      spawnSync('sh', ['-c', instruction(words)], { cwd: folder, env: { PATH: `${folder}:${process.env.PATH}` } })
        .status;
    expect(status('npm ci')).toBe(1);
    // Development packages are still there.
    await mkdir(join(folder, 'node_modules', 'typescript'), { recursive: true });
    expect(status('npm prune')).toBe(1);
    // What a finished `npm ci` leaves: the packages of this checkout come from one.
    const [, file] = /test -f (\S+)$/.exec(instruction('npm ci'))!;
    expect(readFileSync(join(packageRoot, file!), 'utf8')).toContain('"lockfileVersion"');
  }));

test("the image keeps ONNX Runtime's binaries of its own platform only", () =>
  withTemporaryFolder(async (folder) => {
    const bin = join(folder, 'node_modules', 'onnxruntime-node', 'bin', 'napi-v6');
    for (const platform of ['darwin/arm64', 'linux/arm64', 'linux/x64', 'win32/arm64', 'win32/x64']) {
      await mkdir(join(bin, platform), { recursive: true });
      await writeFile(join(bin, platform, 'onnxruntime_binding.node'), '');
    }
    const [remove] = instruction('find').split(' && ');
    expect(spawnSync('sh', ['-c', remove!], { cwd: folder, encoding: 'utf8' })).toMatchObject({
      status: 0,
      stderr: '',
    });
    const left = readdirSync(bin, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.node'));
    expect(left).toEqual([`linux/${process.arch}/onnxruntime_binding.node`]);
  }));

test('the image is labelled with the version of the package', () => {
  const { version } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string };
  expect(dockerfile).toContain(`org.opencontainers.image.version="${version}"`);
});
