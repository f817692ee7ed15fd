import { startInferenceServer } from '../../services/inference/server.ts';
import { createLogger } from '../../services/kit/log.ts';
import { Scope } from '../../services/kit/scope.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { loadPreset, type Preset } from '../../services/pipeline/preset.ts';
import { prepareStage, type Stage, startStage } from '../../services/triton/stage.ts';
import { ensureRepository } from '../../triton-models/packaging/ensure-repository.ts';
import { tinyPreset } from './tiny-preset.ts';

const log = createLogger('test', 'silent');

/** A preset behind the embedded inference server, for tests of stages. */
export interface Backend {
  preset: Preset;
  inferenceAddress: string;
  /** Starts a stage on it and gives the stage's address. */
  start(stage: Stage, preset?: Preset): Promise<string>;
  stop(): Promise<void>;
}

/** @param given a preset, or the name or path of one, whose models are built once for all tests */
export async function startBackend(given: Preset | string = tinyPreset): Promise<Backend> {
  const scope = new Scope();
  const [preset, place] =
    typeof given === 'string' ? [loadPreset(given), {}] : [given, { folder: temporaryFolder(scope) }];
  const repository = await ensureRepository(preset, place);
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
