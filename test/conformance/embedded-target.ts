import { rmSync } from 'node:fs';
import { startInferenceServer } from '../../services/inference/server.ts';
import { readTritonFlags } from '../../services/inference/triton-flags.ts';
import { createLogger } from '../../services/kit/log.ts';
import type { Recording, Scenario } from './exchanges.ts';
import { copyRepository, type Target } from './target.ts';

/** The embedded server, freshly started over a fresh copy of the models. Rejects when it ends by itself. */
export async function startEmbedded(recording: Recording, scenario: Scenario): Promise<Target> {
  const repository = copyRepository(recording, scenario);
  const remove = () => rmSync(repository, { recursive: true, force: true });
  try {
    const server = await startInferenceServer({
      address: '127.0.0.1:0',
      repository,
      log: createLogger('inference', 'silent'),
      intraOpThreads: 1,
      ...readTritonFlags(scenario.server_flags).options,
    });
    return {
      address: server.address,
      repository,
      stop: async () => {
        await server.stop();
        remove();
      },
    };
  } catch (error) {
    remove();
    throw error;
  }
}
