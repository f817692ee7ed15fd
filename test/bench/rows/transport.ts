import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { folderOf, onnxModel } from '../../../services/inference/testing.ts';
import { Scope } from '../../../services/kit/scope.ts';
import { tensor } from '../../../services/pipeline/tensor.ts';
import { TritonClient } from '../../../services/triton/triton-client.ts';
import { startService } from '../../support/cli.ts';
import { type Bench, secondsOf } from '../bench.ts';
import { type Figure, type Measured, median } from '../figure.ts';

const mebibytes = [1, 8, 64] as const;

const identityConfig = `backend: "onnxruntime" max_batch_size: 0
  input { name: "X" data_type: TYPE_FP32 dims: [ -1 ] } output { name: "Y" data_type: TYPE_FP32 dims: [ -1 ] }`;

/** Connecting, registering shared memory for outputs and then for inputs too, and one more. */
const warmUps = 4;

/**
 * Tensors to a backend in another process and back, against an echo on bare grpc-js between two other processes: the rate of
 * bytes.
 */
export async function measureTransport(bench: Bench): Promise<Measured> {
  const scope = new Scope();
  try {
    const bare = await startEcho(scope);
    const { folder, remove } = folderOf({
      'identity/1/model.onnx': onnxModel([['Identity', ['X'], ['Y']]], { X: [-1] }, { Y: [-1] }),
      'identity/config.pbtxt': identityConfig,
    });
    scope.defer(remove);
    const server = await startService('inference', {
      FUSIONFRAMES_MODEL_REPOSITORY: folder,
      FUSIONFRAMES_ALLOW_CLIENT_SHM: 'on',
      FUSIONFRAMES_LOG_LEVEL: 'error',
    });
    scope.add(server);
    const clients = {
      'by bytes': scope.add(
        new TritonClient({ address: server.address, sharedMemory: 'off', maxBytesInFlight: 1 << 30 }),
      ),
      'by shared memory': scope.add(new TritonClient({ address: server.address, maxBytesInFlight: 1 << 30 })),
    };
    const goals = { 'by bytes': 0.9, 'by shared memory': 5 };
    const figures: Figure[] = [];
    for (const size of mebibytes) {
      bench.progress(`${size} MiB`);
      const input = tensor('float32', [size * 2 ** 18], new Float32Array(size * 2 ** 18).fill(1.5));
      const ways = Object.entries(clients).map(([name, client]) => {
        const call = async () => {
          // As the stages do.
          client.release(await client.infer({ model: 'identity', inputs: { X: input }, signal: scope.signal }));
        };
        return { name: name as keyof typeof clients, call, ratios: [] as number[] };
      });
      for (let round = -warmUps; round < 4 * bench.options.rounds; round++) {
        const floor = await bare(size);
        for (const { call, ratios } of ways) {
          const before = await computeSeconds(clients['by bytes']);
          const seconds = await secondsOf(call);
          const computed = (await computeSeconds(clients['by bytes'])) - before;
          if (round >= 0) {
            ratios.push(floor / (seconds - computed));
          }
        }
      }
      figures.push(
        ...ways.map(({ name, ratios }) => ({
          what: `tensor of ${size} MiB to a backend and back ${name} ÷ bare grpc-js, bytes a second`,
          note: "without the model's own time",
          value: median(ratios),
          goal: { least: goals[name] },
        })),
      );
    }
    return { figures };
  } finally {
    await scope.close();
  }
}

/** Time that the model has run so far. */
async function computeSeconds(client: TritonClient): Promise<number> {
  const [statistics] = await client.models.statistics('identity');
  return Number(statistics?.inferenceStats?.computeInfer?.ns ?? 0) / 1e9;
}

/** A function that sends a number of MiB to the echo server and back, and returns the seconds that it took. */
async function startEcho(scope: Scope): Promise<(mebibytes: number) => Promise<number>> {
  const server = spawn(process.execPath, [program('echo-server')], { stdio: ['ignore', 'pipe', 'inherit'] });
  scope.defer(() => server.kill());
  const [address] = await once(server.stdout, 'data');
  const client = fork(program('echo-client'), [String(address).trim()]);
  scope.defer(() => client.kill());
  return async (mebibytes) => {
    client.send(mebibytes);
    const [seconds] = await once(client, 'message');
    return seconds;
  };
}

function program(name: string): string {
  return fileURLToPath(new URL(`./${name}.js`, import.meta.url));
}
