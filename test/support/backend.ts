import { stageServices } from '../../cli/stages.ts';
import { startInferenceServer } from '../../services/inference/server.ts';
import { createLogger } from '../../services/kit/log.ts';
import { Scope } from '../../services/kit/scope.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { loadPreset, type Preset } from '../../services/pipeline/preset.ts';
import { awaitEachStage, type StageName } from '../../services/pipeline/stages.ts';
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
  /** Starts all stages on it and gives their addresses. */
  startAll(): Promise<Record<StageName, string>>;
  stop(): Promise<void>;
}

/**
 * @param given a preset, or the name or path of one, whose models are built once for all tests
 * @param built folder of its model repository. Default: it is built
 */
export async function startBackend(given: Preset | string = tinyPreset, built?: string): Promise<Backend> {
  const scope = new Scope();
  const isNamed = typeof given === 'string';
  const preset = isNamed ? loadPreset(given) : given;
  const build = () => ensureRepository(preset, isNamed ? {} : { folder: temporaryFolder(scope) });
  const repository = built ?? (await build()).folder;
  const inference = await scope.open(() => startInferenceServer({ address: '127.0.0.1:0', repository, log }));
  const backend: Backend = {
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
    startAll: () => awaitEachStage((name) => backend.start(stageServices[name])),
    stop: () => scope.close(),
  };
  return backend;
}
