import { stat } from 'node:fs/promises';
import { connectGrpc } from '../../../gateway/client/grpc-client.ts';
import { Scope } from '../../../services/kit/scope.ts';
import { presetPath } from '../../../services/pipeline/preset.ts';
import { startService } from '../../support/cli.ts';
import type { Bench } from '../bench.ts';
import { type Measured, sum } from '../figure.ts';
import { residentMebibytes } from '../resident-memory.ts';

/** Memory of `serve` with all services in one process, without PostgreSQL, which is another one. */
export async function measureMemory(bench: Bench): Promise<Measured> {
  const { jobs } = bench.options;
  await bench.repository();
  const scope = new Scope();
  try {
    const service = scope.add(await startService('', { FUSIONFRAMES_LOG_LEVEL: 'error' }));
    const client = scope.add(connectGrpc({ address: service.address }));
    const idle = await residentMebibytes(service.child.pid);
    for (let job = 1; job <= jobs; job++) {
      bench.progress(`job ${job} of ${jobs}`);
      const { id } = await client.create({ prompt: 'a red circle', seed: BigInt(job) });
      for await (const { state } of client.watch(id)) {
        if (state === 'failed') {
          throw new Error('a job failed');
        }
      }
    }
    const value = await residentMebibytes(service.child.pid);
    const weights = await Promise.all(
      Object.values(bench.preset.weights as Record<string, string>).map(
        async (file) => (await stat(presetPath(bench.preset, file))).size,
      ),
    );
    return {
      figures: [
        {
          what: `resident memory of \`serve\` with nano after ${jobs} jobs`,
          value,
          unit: 'MiB',
          goal: { most: 500 },
          // float16 on disk, float32 in memory.
          parts: { 'before the first job, MiB': idle, 'weights, MiB': (2 * sum(weights)) / 2 ** 20 },
        },
      ],
    };
  } finally {
    await scope.close();
  }
}
