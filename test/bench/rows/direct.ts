import { once } from 'node:events';
import { startRuntimeThread } from '../../../services/inference/execution/runtime-thread.ts';
import { inferenceSettings } from '../../../services/inference/settings.ts';
import { readSettings } from '../../../services/kit/settings.ts';
import { networkCalls } from '../../../triton-models/describe/network-calls.ts';
import { type Bench, costOf } from '../bench.ts';
import { type Measured, median, sum } from '../figure.ts';
import type { DirectOptions, DirectResult } from './direct-worker.ts';

/** What all services together add to the network calls of a warm video. */
export async function measureDirect(bench: Bench): Promise<Measured> {
  const { preset } = bench;
  const { rounds } = bench.options;
  const calls = networkCalls(preset, { ...preset.frameSize.default, frameRate: 'medium' });
  const { intraOpThreads } = readSettings(inferenceSettings);
  const direct = await startDirect({ repository: await bench.repository(), calls, intraOpThreads });
  const directRuns: DirectResult[] = [];
  const meshRuns: number[] = [];
  const processorRatios: number[] = [];
  try {
    await bench.client();
    await direct.run();
    for (let round = 1; round <= rounds; round++) {
      bench.progress(`pair ${round} of ${rounds}`);
      const alone = await costOf(async () => directRuns.push(await direct.run()));
      const mesh = await costOf(() => bench.make());
      meshRuns.push(mesh.seconds);
      processorRatios.push(mesh.processorSeconds / alone.processorSeconds);
    }
  } finally {
    await direct.stop();
  }
  const total = median(directRuns.map(sum));
  const what = 'warm `generate` through all services ÷ the same network calls directly';
  const share = (index: number) => median(directRuns.map((run) => run[index]! / sum(run)));
  return {
    figures: [
      {
        what,
        value: median(meshRuns.map((seconds, round) => seconds / sum(directRuns[round]!))),
        goal: { most: 1.08 },
        parts: { 'mesh, s': median(meshRuns), 'calls, s': total },
      },
      { what: `${what}: processor time`, value: median(processorRatios) },
      ...calls.map(({ model, feeds, times }, index) => ({
        what: `${model}, ${times} × [${Object.values(feeds)[0]!.shape}]: share of these calls`,
        value: 100 * share(index),
        unit: '%',
      })),
    ],
  };
}

async function startDirect(workerData: DirectOptions) {
  const worker = startRuntimeThread(new URL('./direct-worker.js', import.meta.url), { workerData });
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
