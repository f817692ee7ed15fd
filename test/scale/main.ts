import { setTimeout as sleep } from 'node:timers/promises';
import { KeyframesServiceDefinition } from '../../proto/gen/fusionframes/v1/keyframes.ts';
import { connect } from '../../services/kit/channel.ts';
import { loadPreset, modelNames } from '../../services/pipeline/preset.ts';
import { tensor } from '../../services/pipeline/tensor.ts';
import { toWireTensor } from '../../services/pipeline/tensor-chunks.ts';
import { type ServiceProcess, startService } from '../support/cli.ts';
import { type SleepingBackend, startSleepingBackend } from './sleeping-backend.ts';

/**
 * Scales out the keyframes stage behind client-side balancing: every replica is a process with its own backend, which
 * takes a known time for a step and no CPU.
 */
const preset = loadPreset('nano');
const stepSeconds = 0.1;
const steps = 5;
/** Videos that each replica has to work on at any time. */
const videosAtOnce = 4;
const rounds = 3;

interface Replica {
  service: ServiceProcess;
  backend: SleepingBackend;
}

const throughputs: { replicas: number; perSecond: number; spread: number }[] = [];
for (const count of [1, 2, 4, 8]) {
  process.stderr.write(`${count} replica${count > 1 ? 's' : ''}\n`);
  const replicas = await startReplicas(count);
  const seconds = await makeKeyframes(addressOf(replicas), count * videosAtOnce * rounds, count * videosAtOnce);
  const requests = replicas.map(({ backend }) => backend.requests(modelNames.keyframes));
  throughputs.push({
    replicas: count,
    perSecond: (count * videosAtOnce * rounds) / seconds,
    spread: Math.min(...requests) / Math.max(...requests),
  });
  await stopReplicas(replicas);
}
const single = throughputs[0]!.perSecond;
console.table(
  throughputs.map(({ replicas, perSecond, spread }) => ({
    replicas,
    'videos a second': Number(perSecond.toFixed(2)),
    'of linear (aim ≥ 0.9)': Number((perSecond / (replicas * single)).toFixed(3)),
    'least ÷ most requests of a replica': Number(spread.toFixed(3)),
  })),
);
await drainOne();

/** One of four replicas is stopped under load: it finishes its calls, gets no new ones, and nothing fails. */
async function drainOne(): Promise<void> {
  const replicas = await startReplicas(4);
  const leaving = replicas[0]!;
  const work = makeKeyframes(addressOf(replicas), 48, 16);
  await sleep(2500);
  const stopped = leaving.service.stop();
  // Calls in transit when the signal came may still arrive.
  await sleep(2 * stepSeconds * 1000);
  const inProgress = videosAtOnce * steps;
  const before = leaving.backend.requests(modelNames.keyframes);
  await work;
  const code = await stopped;
  const after = leaving.backend.requests(modelNames.keyframes) - before;
  console.log(
    `A replica that drains: exit code ${code}, 48 of 48 videos done, ${after} further steps of the videos that it had ` +
      `(at most ${inProgress}).`,
  );
  await stopReplicas(replicas.slice(1));
  await leaving.backend.stop();
}

async function startReplicas(count: number): Promise<Replica[]> {
  return await Promise.all(
    Array.from({ length: count }, async () => {
      const backend = await startSleepingBackend({ preset, maxBatchSize: 2, secondsOf: () => stepSeconds });
      const service = await startService('keyframes', { FUSIONFRAMES_INFERENCE_ADDRESS: backend.address });
      return { backend, service };
    }),
  );
}

async function stopReplicas(replicas: readonly Replica[]): Promise<void> {
  await Promise.all(replicas.map(({ service }) => service.stop()));
  await Promise.all(replicas.map(({ backend }) => backend.stop()));
}

function addressOf(replicas: readonly Replica[]): string {
  return `ipv4:${replicas.map(({ service }) => service.address).join(',')}`;
}

/** Makes the keyframes of `count` videos, this many at once; returns the seconds it took. */
async function makeKeyframes(address: string, count: number, atOnce: number): Promise<number> {
  const { client, close } = connect(KeyframesServiceDefinition, address);
  const contextSize = preset.keyframes.network.context_dim;
  const tokens = 2;
  const prompt = {
    context: toWireTensor(tensor('float32', [tokens, contextSize], new Float32Array(tokens * contextSize))),
    contextMask: toWireTensor(tensor('bool', [tokens], new Uint8Array(tokens).fill(1))),
  };
  const { width, height } = preset.frameSize.default;
  let left = count;
  const work = async () => {
    while (left-- > 0) {
      const request = { prompt, width, height, seed: BigInt(left + 1), sampling: { steps } };
      for await (const _ of client.generateKeyframes(request)) {
        // Only the end counts.
      }
    }
  };
  // Like the gateway, connects before any work arrives.
  await sleep(1000);
  const started = performance.now();
  await Promise.all(Array.from({ length: atOnce }, work));
  close();
  return (performance.now() - started) / 1000;
}
