import { startInferenceServer } from '../../services/inference/server.ts';
import { createLogger } from '../../services/kit/log.ts';
import { Scope } from '../../services/kit/scope.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { loadPreset, type Preset } from '../../services/pipeline/preset.ts';
import { prepareStage, type Stage, startStage } from '../../services/triton/stage.ts';
import { ensureRepository } from '../../triton-models/packaging/ensure-repository.ts';

const log = createLogger('test', 'silent');

/** A preset, nano unless another is given, behind the embedded inference server, for tests of stages. */
export interface Backend {
  preset: Preset;
  inferenceAddress: string;
  /** Starts a stage on it and gives the stage's address. */
  start(stage: Stage, preset?: Preset): Promise<string>;
  stop(): Promise<void>;
}

export async function startBackend(given?: Preset): Promise<Backend> {
  const scope = new Scope();
  const preset = given ?? loadPreset('nano');
  // Nano itself is built once for all tests.
  const repository = await ensureRepository(preset, given && { folder: temporaryFolder(scope) });
  const inference = await scope.open(() =>
    startInferenceServer({ address: '127.0.0.1:0', repository: repository.folder, log }),
  );
  return {
    preset,
    inferenceAddress: inference.address,
    async start(stage, stagePreset = preset) {
      const server = await startStage(prepareStage(stage, stagePreset, {}), {
        address: '127.0.0.1:0',
        inferenceAddress: inference.address,
        log,
        startupTimeoutSeconds: 10,
        requestTimeoutSeconds: 60,
        maxBytesInFlight: 1 << 28,
        maxConcurrentCalls: 8,
        drainSeconds: 1,
        signal: new AbortController().signal,
      });
      return scope.add(server).address;
    },
    stop: () => scope.close(),
  };
}
