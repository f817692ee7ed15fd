import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { prepareMesh, startMesh } from '../../cli/mesh.ts';
import { connectGrpc } from '../../gateway/client/grpc-client.ts';
import { inferenceSettings } from '../../services/inference/settings.ts';
import { createLogger } from '../../services/kit/log.ts';
import { packageRoot } from '../../services/kit/package-root.ts';
import { readSettings } from '../../services/kit/settings.ts';
import { loadPreset } from '../../services/pipeline/preset.ts';
import { networkCalls } from '../../triton-models/describe/network-calls.ts';
import { ensureRepository } from '../../triton-models/packaging/ensure-repository.ts';
import type { DirectResult } from './direct-worker.ts';

const rounds = 5;
let seed = 1n;
const prompt = 'a large red circle moving left on a navy background';

const preset = loadPreset('nano');
const { signal } = new AbortController();
const { folder: repository } = await ensureRepository(preset, { signal });
const calls = networkCalls(preset, { ...preset.frameSize.default, frameRate: 'medium' });

const direct = await startDirect();
const log = createLogger('bench', 'warn');
const mesh = await startMesh(prepareMesh([preset]), {
  repositories: [{ folder: repository, warnings: [] }],
  log,
  signal,
});
const client = connectGrpc({ address: mesh.address });

await direct.run();
await generate();
const directRuns: DirectResult[] = [];
const meshRuns: number[] = [];
for (let round = 1; round <= rounds; round++) {
  process.stderr.write(`round ${round} of ${rounds}\n`);
  directRuns.push(await direct.run());
  meshRuns.push(await generate());
}
client.close();
await mesh.stop();
await direct.stop();

const perCall = calls.map((call, index) => ({ ...call, seconds: median(directRuns.map((run) => run[index]!)) }));
const directTotal = median(directRuns.map((run) => run.reduce((sum, seconds) => sum + seconds, 0)));
const meshTotal = median(meshRuns);
const ratio = median(
  meshRuns.map((seconds, round) => seconds / directRuns[round]!.reduce((sum, part) => sum + part, 0)),
);
const results = {
  rows: [
    { name: 'warm generate ÷ the same network calls made directly', ratio, aim: 1.1, meshTotal, directTotal },
    ...perCall.map(({ model, feeds, times, seconds }) => ({
      name: `${model}, a call as share of the calls' time`,
      shape: Object.values(feeds)[0]!.shape,
      times,
      secondsPerCall: seconds / times,
      share: seconds / directTotal,
    })),
  ],
  rounds,
  preset: preset.name,
  processor: cpus()[0]?.model,
  cores: cpus().length,
  node: process.version,
};
const folder = join(packageRoot, 'bench');
await mkdir(folder, { recursive: true });
await writeFile(join(folder, 'results.json'), `${JSON.stringify(results, undefined, 2)}\n`);
printTable();

function printTable(): void {
  console.log(`warm generate through all services: ${meshTotal.toFixed(2)} s`);
  console.log(`the same network calls directly:    ${directTotal.toFixed(2)} s`);
  console.log(`ratio (median of ${rounds} pairs):         ${ratio.toFixed(3)}, aim ≤ 1.10`);
  console.table(
    perCall.map(({ model, feeds, times, seconds }) => ({
      network: model,
      input: `[${Object.values(feeds)[0]!.shape}]`,
      calls: times,
      'ms a call': Number(((seconds / times) * 1000).toFixed(2)),
      'share of a video': `${((100 * seconds) / directTotal).toFixed(1)} %`,
    })),
  );
}

/** Seconds that a video takes from the request to the finished file. */
async function generate(): Promise<number> {
  const started = performance.now();
  // A seed of its own: the stages of a repeated request would not run.
  const { id } = await client.create({ prompt, seed: seed++ });
  for await (const now of client.watch(id)) {
    if (now.state === 'failed') {
      throw new Error(now.failure?.reason);
    }
  }
  return (performance.now() - started) / 1000;
}

async function startDirect() {
  const worker = new Worker(new URL('./direct-worker.js', import.meta.url), {
    workerData: { repository, calls, intraOpThreads: readSettings(inferenceSettings).intraOpThreads },
  });
  await once(worker, 'message');
  return {
    async run(): Promise<DirectResult> {
      worker.postMessage('run');
      const [seconds] = await once(worker, 'message');
      return seconds;
    },
    stop: () => worker.terminate(),
  };
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
