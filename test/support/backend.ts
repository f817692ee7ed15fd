import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startInferenceServer } from '../../services/inference/server.ts';
import { createLogger } from '../../services/kit/log.ts';
import { loadPreset, type Preset } from '../../services/pipeline/preset.ts';
import { type Stage, startStage } from '../../services/triton/stage.ts';
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

export async function startBackend(preset = loadPreset('nano')): Promise<Backend> {
  const folder = await mkdtemp(join(tmpdir(), 'fusionframes-test-'));
  const repository = await ensureRepository(preset, { folder });
  const inference = await startInferenceServer({ address: '127.0.0.1:0', repository: repository.folder, log });
  const stops = [() => rm(folder, { recursive: true, force: true }), () => inference.stop()];
  return {
    preset,
    inferenceAddress: inference.address,
    async start(stage, stagePreset = preset) {
      const server = await startStage(stage, {
        address: '127.0.0.1:0',
        preset: stagePreset,
        inferenceAddress: inference.address,
        log,
        startupTimeoutSeconds: 10,
        requestTimeoutSeconds: 60,
        maxBytesInFlight: 1 << 28,
        maxConcurrentCalls: 8,
        drainSeconds: 1,
        signal: new AbortController().signal,
      });
      stops.push(() => server.stop());
      return server.address;
    },
    async stop() {
      for (const stop of stops.reverse()) {
        await stop();
      }
    },
  };
}
