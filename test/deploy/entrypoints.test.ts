import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { containersOf, podsOf, renderOverlay, whyNoKustomize } from './rendered.ts';

const why = whyNoKustomize();
const whereRendered = why === undefined ? test : test.skip;

let folder: string;
let image: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fusionframes-image-'));
  // PostgreSQL, which does not run as root, has to pass.
  await chmod(folder, 0o755);
  image = join(folder, 'app');
  await layOut(image);
});
const children = new Set<ChildProcess>();
afterAll(async () => {
  for (const child of children) {
    child.kill('SIGKILL');
  }
  await rm(folder, { recursive: true, force: true });
});

/** What the Dockerfile takes into the image, at the same places. */
async function layOut(target: string): Promise<void> {
  const dockerfile = await readFile(join(packageRoot, 'deploy', 'Dockerfile'), 'utf8');
  const copies = [...dockerfile.matchAll(/^COPY --from=build (.+)$/gm)].map(([, words]) => words!.split(' '));
  for (const words of copies) {
    const to = words.at(-1)!;
    for (const from of words.slice(0, -1).map((path) => path.replace('/app/', ''))) {
      const place = join(target, to.endsWith('/') ? join(to, from) : to);
      await mkdir(dirname(place), { recursive: true });
      if (from === 'node_modules') {
        await symlink(join(packageRoot, from), place);
      } else {
        await cp(join(packageRoot, from), place, { recursive: true, filter: (path) => !path.includes('manifests-') });
      }
    }
  }
}

interface Running {
  /** What it said that it serves on, by what serves. */
  addresses: Record<string, string>;
  stop(): Promise<number | null>;
}

/** Runs a container's arguments as its entrypoint would, and waits for the line that says where it serves. */
async function start(args: string[], environment: Record<string, string>): Promise<Running> {
  const child = spawn(process.execPath, [join(image, 'dist', 'cli', 'main.js'), ...args], {
    cwd: folder,
    env: { PATH: process.env.PATH!, HOME: folder, TMPDIR: folder, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.add(child);
  let errors = '';
  child.stderr.on('data', (data) => (errors += data));
  const closed = once(child, 'close').then(([code]) => {
    children.delete(child);
    return code as number | null;
  });
  const addresses: Record<string, string> = {};
  for await (const line of createInterface({ input: child.stdout })) {
    const [, name, address] = /^(.+) is serving on (\S+)$/.exec(line) ?? [];
    if (name !== undefined) {
      addresses[name] = address!;
      child.stdout.resume();
      return {
        addresses,
        async stop() {
          child.kill('SIGTERM');
          return await closed;
        },
      };
    }
  }
  const code = await closed;
  if (code !== 0) {
    throw new Error(`${args.join(' ')} ended with ${code}: ${errors}`);
  }
  return { addresses, stop: async () => code };
}

whereRendered(
  "the laptop overlay's containers make a video, as processes on one machine",
  async () => {
    const manifests = renderOverlay('laptop');
    const common = manifests.find(({ kind, data }) => kind === 'ConfigMap' && 'FUSIONFRAMES_PRESET' in data)!.data;
    const containers = new Map(
      podsOf(manifests)
        .flatMap(({ spec }) => containersOf(spec))
        .filter((container) => container.image.startsWith('fusionframes:'))
        .map((container) => [container.name as string, container]),
    );
    expect([...containers.keys()].sort()).toEqual(
      ['decoder', 'gateway', 'inference', 'interpolation', 'keyframes', 'models', 'text-encoder'].sort(),
    );
    const models = join(folder, 'models');
    const data = join(folder, 'data');
    await Promise.all([mkdir(models), mkdir(data)]);
    const found: Record<string, string> = {};
    /** Everything as in the cluster, but for addresses, folders, metrics and the database, which is the embedded one. */
    const run = async (name: string) => {
      const { args, env = [] } = containers.get(name)!;
      const here = (value: string) =>
        value
          .replace(/^\/models$/, models)
          .replace(/^\/data$/, data)
          .replace('0.0.0.0:9464', '')
          .replace(/^0\.0\.0\.0:\d+$/, '127.0.0.1:0')
          .replace(/^dns:\/\/\/[\w-]+-backend:8001$/, () => found.inference!)
          .replace(/^dns:\/\/\/([\w-]+):50051$/, (_, stage) => found[stage]!);
      const plain = env.filter(({ value }: { value?: string }) => value !== undefined);
      const own = Object.fromEntries(
        plain.map((each: { name: string; value: string }) => [each.name, here(each.value)]),
      );
      const shared = Object.fromEntries(Object.entries(common).map(([key, value]) => [key, here(value as string)]));
      const running = await start(args.map(here), { ...shared, ...own });
      Object.assign(found, running.addresses);
      return running;
    };

    await run('models');
    const running = [await run('inference')];
    running.push(...(await Promise.all(['text-encoder', 'keyframes', 'interpolation', 'decoder'].map(run))));
    running.push(await run('gateway'));
    const video = join(folder, 'video.mp4');
    const generate = ['generate', 'a red circle', '--address', found.gateway!, '--steps', '2', '--fps', 'low'];
    await start([...generate, '--output', video], {});
    expect((await stat(video)).size).toBeGreaterThan(1000);
    for (const each of running.reverse()) {
      expect(await each.stop()).toBe(0);
    }
  },
  120_000,
);
