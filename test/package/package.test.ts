import { execFile, spawn } from 'node:child_process';
import { copyFile, link, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join, posix, relative } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import { diskFolder } from '../support/disk.ts';

const run = promisify(execFile);
const maxTarballBytes = 30e6;

const folder = temporaryFolder(scopeOfAllTests(), diskFolder());
let files: string[];
let tarballBytes: number;
let environment: NodeJS.ProcessEnv;

/** Packs the project and installs it with npm into a folder that has its dependencies, but none of the project's own files. */
beforeAll(async () => {
  environment = { ...process.env, NODE_OPTIONS: '', XDG_DATA_HOME: join(folder, 'data') };
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], {
    cwd: packageRoot,
    env: environment,
  });
  const [{ filename, size, files: packed }] = JSON.parse(stdout) as [
    { filename: string; size: number; files: { path: string }[] },
  ];
  files = packed.map(({ path }) => path);
  tarballBytes = size;
  await writeProject(filename);
  await linkDependencies();
  // No package needs its install script, see .npmrc.
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund'];
  await run('npm', ['install', '--prefer-offline', ...quiet], { cwd: folder, env: environment });
});

/** An empty project that depends on the tarball, with the dependencies' versions locked as they are here. */
async function writeProject(tarball: string): Promise<void> {
  const read = async (name: string) => JSON.parse(await readFile(join(packageRoot, name), 'utf8'));
  const { name, version, dependencies, optionalDependencies, bin, engines } = await read('package.json');
  const locked = Object.entries<{ dev?: true }>((await read('package-lock.json')).packages);
  const resolved = `file:${tarball}`;
  const project = { name: 'project', type: 'module', dependencies: { [name]: resolved } };
  const packages = {
    '': project,
    ...Object.fromEntries(locked.filter(([path, { dev }]) => path !== '' && !dev)),
    [`node_modules/${name}`]: { version, resolved, dependencies, optionalDependencies, bin, engines },
  };
  const lock = { name: 'project', lockfileVersion: 3, requires: true, packages };
  await writeFile(join(folder, 'package.json'), JSON.stringify(project));
  await writeFile(join(folder, 'package-lock.json'), JSON.stringify(lock));
}

/**
 * Links the packages that the package depends on, as `npm ci` left them here, which takes npm far longer to extract. By the
 * lockfile in `node_modules` npm knows them; it adds what is missing.
 */
async function linkDependencies(): Promise<void> {
  const lockfile = join('node_modules', '.package-lock.json');
  const installed = JSON.parse(await readFile(join(packageRoot, lockfile), 'utf8'));
  const needed = Object.entries<{ dev?: true }>(installed.packages).filter(([, { dev }]) => !dev);
  for (const [path] of needed.filter(([path]) => path.lastIndexOf('node_modules/') === 0)) {
    const entries = await readdir(join(packageRoot, path), { recursive: true, withFileTypes: true });
    const target = (parent: string) => join(folder, relative(packageRoot, parent));
    for (const parent of new Set(entries.map(({ parentPath }) => parentPath))) {
      await mkdir(target(parent), { recursive: true });
    }
    for (const { name, parentPath } of entries.filter((entry) => entry.isFile())) {
      const [from, to] = [join(parentPath, name), join(target(parentPath), name)];
      // Another file system needs copies.
      await link(from, to).catch(() => copyFile(from, to));
    }
  }
  await writeFile(join(folder, lockfile), JSON.stringify({ ...installed, packages: Object.fromEntries(needed) }));
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
  // They do not apply where the package is installed, so the program must not depend on one. This one only keeps a package
  // without a licence, which an install script would load, out of the image.
  expect(Object.keys(overrides)).toEqual(['@contentauth/c2pa-node']);
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
  const { stdout } = await run('npx', ['fusionframes', 'generate', 'a red circle', ...options], {
    cwd: folder,
    env: environment,
  });
  expect(JSON.parse(stdout)).toMatchObject({ frames: 15, file: 'video.mp4', warnings: [] });
  expect((await stat(join(folder, 'video.mp4'))).size).toBeGreaterThan(1000);
  expect((await stat(join(folder, 'data', 'fusionframes', 'repository', 'nano'))).isDirectory()).toBe(true);
});

test('it serves the page', async () => {
  const listen = { FUSIONFRAMES_HTTP_ADDRESS: '127.0.0.1:0' };
  const program = join(folder, 'node_modules', '.bin', 'fusionframes');
  // The gateway alone: the stages are those of the video.
  const child = spawn(program, ['serve', 'gateway', '--listen', '127.0.0.1:0'], {
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
