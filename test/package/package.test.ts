import { execFile, spawn } from 'node:child_process';
import { mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';

const run = promisify(execFile);
const maxTarballBytes = 30e6;

const folder = temporaryFolder(scopeOfAllTests());
let files: string[];
let tarballBytes: number;
/** The program as `npx fusionframes` finds it. */
let program: string;
let environment: NodeJS.ProcessEnv;

/** Packs the project and installs it into an empty folder with links to its dependencies only. */
beforeAll(async () => {
  environment = { ...process.env, NODE_OPTIONS: '', XDG_DATA_HOME: join(folder, 'data') };
  const inRoot = { cwd: packageRoot, env: environment };
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], inRoot);
  const [{ filename, size, files: packed }] = JSON.parse(stdout) as [
    { filename: string; size: number; files: { path: string }[] },
  ];
  files = packed.map(({ path }) => path);
  tarballBytes = size;
  const installed = join(folder, 'node_modules', 'fusionframes');
  await mkdir(installed, { recursive: true });
  await run('tar', ['xzf', join(folder, filename), '--strip-components=1', '-C', installed]);
  await Promise.all((await dependencyPaths()).map((path) => linkPackage(path)));
  program = join(installed, 'dist', 'cli', 'main.js');
});

/** Of every package of an installation without development tools that lies at the top. */
async function dependencyPaths(): Promise<string[]> {
  const { packages } = JSON.parse(await readFile(join(packageRoot, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: true }>;
  };
  return Object.entries(packages)
    .filter(([path, { dev }]) => /^node_modules\/(@[^/]+\/)?[^/]+$/.test(path) && !dev)
    .map(([path]) => path);
}

async function linkPackage(path: string): Promise<void> {
  const source = join(packageRoot, path);
  // Packages for other systems are not installed.
  if (await stat(source).catch(() => undefined)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await symlink(source, join(folder, path));
  }
}

test('the package contains the program but none of its tests', () => {
  expect(tarballBytes).toBeLessThan(maxTarballBytes);
  expect(files).toContain('dist/cli/main.js');
  expect(files.filter((path) => /(^|[/.])(test|testing|fixtures|training)[/.]/.test(path))).toEqual([]);
  expect(files.filter((path) => /(?<!\.d)\.ts$/.test(path) && !path.startsWith('examples/'))).toEqual([]);
  expect(files.filter((path) => path.startsWith('deploy/secrets'))).toEqual([]);
});

test('every file named in package.json is packed, and no script in it needs the repository', async () => {
  const { bin, exports, overrides } = JSON.parse(await readFile(join(packageRoot, 'package.json'), 'utf8'));
  // They would not apply where the package is installed; a dependency with an exact version does.
  expect(overrides).toBeUndefined();
  const named = JSON.stringify([bin, exports]).match(/dist\/[^"]+/g)!;
  expect(named.length).toBeGreaterThan(2);
  expect(named.filter((path) => !files.includes(path))).toEqual([]);
});

test('the files that its documents link to are packed', async () => {
  const links = await Promise.all(
    files
      .filter((path) => path.endsWith('.md'))
      .map(async (path) => {
        const text = await readFile(join(packageRoot, path), 'utf8');
        return [...text.matchAll(/\]\((?!\w+:|#)([^)\s#]+)/g)].map(([, link]) => posix.join(dirname(path), link!));
      }),
  );
  const folders = new Set(files.map((path) => dirname(path)));
  expect(links.flat()).toContain('deploy/README.md');
  expect(links.flat().filter((path) => !files.includes(path) && !folders.has(path.replace(/\/$/, '')))).toEqual([]);
});

test('it makes a video and keeps its models in the data folder of its user', async () => {
  const options = ['--fps', 'low', '--steps', '1', '--interpolation-steps', '1', '--json'];
  const { stdout } = await run(process.execPath, [program, 'generate', 'a red circle', ...options], {
    cwd: folder,
    env: environment,
  });
  expect(JSON.parse(stdout)).toMatchObject({ frames: 15, file: 'video.mp4', warnings: [] });
  expect((await stat(join(folder, 'video.mp4'))).size).toBeGreaterThan(1000);
  expect((await stat(join(folder, 'data', 'fusionframes', 'repository', 'nano'))).isDirectory()).toBe(true);
});

test('it serves the page', async () => {
  const listen = { FUSIONFRAMES_HTTP_ADDRESS: '127.0.0.1:0' };
  const child = spawn(process.execPath, [program, 'serve', '--listen', '127.0.0.1:0'], {
    cwd: folder,
    env: { ...environment, ...listen },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      const page = /http:\S+/.exec(line)?.[0];
      if (page !== undefined) {
        expect(await (await fetch(page)).text()).toContain('<title>FusionFrames');
        return;
      }
    }
    throw new Error('it ended before it named its page');
  } finally {
    child.kill();
    await new Promise((resolve) => child.once('close', resolve));
  }
});

test('what it exports runs, and TypeScript knows its types', async () => {
  const source = `
    import { connectGrpc, connectHttp, type Video, type VideoClient } from 'fusionframes/client';
    import { floatTensor, FusionError, TritonClient, toFloat32 } from 'fusionframes/triton';

    const values: Float32Array = toFloat32(floatTensor('FP16', [2], Float32Array.of(0.5, 1)));
    const triton = new TritonClient({ address: '127.0.0.1:1', sharedMemory: 'off' });
    const refused = await triton.server.isLive({ timeoutSeconds: 0.1 }).catch((error: unknown) => error);
    await triton.close();
    const clients: VideoClient[] = [connectGrpc({ address: '127.0.0.1:1' }), connectHttp({ baseUrl: 'http://127.0.0.1:1' })];
    const stateOf = ({ state, settings }: Video): string => state + settings.seed;
    clients.forEach((client) => client.close());
    console.log(typeof stateOf, values.join(), refused instanceof FusionError || refused === false);
  `;
  await writeFile(join(folder, 'package.json'), '{"type": "module"}');
  await writeFile(join(folder, 'use.ts'), source);
  const types = ['--typeRoots', join(packageRoot, 'node_modules', '@types'), '--types', 'node'];
  const compiler = ['--strict', '--module', 'nodenext', '--target', 'es2023', '--noEmitOnError', ...types];
  await run(join(packageRoot, 'node_modules', '.bin', 'tsc'), [...compiler, 'use.ts'], { cwd: folder }).catch(
    ({ stdout }) => Promise.reject(new Error(stdout)),
  );
  const { stdout } = await run(process.execPath, ['use.js'], { cwd: folder, env: environment });
  expect(stdout).toBe('function 0.5,1 true\n');
  // There is no `fusionframes` itself.
  const whole = run(process.execPath, ['--eval', "import('fusionframes')"], { cwd: folder, env: environment });
  await expect(whole).rejects.toMatchObject({ stderr: expect.stringContaining('ERR_PACKAGE_PATH_NOT_EXPORTED') });
});
