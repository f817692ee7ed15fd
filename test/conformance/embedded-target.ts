import { rmSync } from 'node:fs';
import { type InferenceServerOptions, startInferenceServer } from '../../services/inference/server.ts';
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
      ...optionsOf(scenario.server_flags),
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

/** The embedded server's options that say what Triton's flags say. Throws for a flag that has none. */
export function optionsOf(flags: readonly string[]): Partial<InferenceServerOptions> {
  const options: Partial<InferenceServerOptions> = {};
  const loadModels: string[] = [];
  for (const flag of flags) {
    const [name, value] = flag.split('=', 2);
    const isOn = value !== 'false' && value !== '0';
    switch (name) {
      case '--model-control-mode':
        options.modelControl = value === 'explicit' ? 'explicit' : 'none';
        break;
      case '--load-model':
        loadModels.push(value!);
        break;
      case '--exit-on-error':
        options.exitOnError = isOn;
        break;
      case '--strict-readiness':
        options.strictReadiness = isOn;
        break;
      case '--disable-auto-complete-config':
        options.autoComplete = !isOn;
        break;
      case '--allow-client-shm':
        options.allowSharedMemory = isOn;
        break;
      default:
        throw new Error(`the embedded server has no option for ${flag}`);
    }
  }
  return { ...options, loadModels };
}
