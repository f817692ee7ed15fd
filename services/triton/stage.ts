import { longCallSeconds } from '../kit/channel.ts';
import type { Logger } from '../kit/log.ts';
import type { ProcessTls } from '../kit/process-tls.ts';
import { openScope } from '../kit/scope.ts';
import { type RunningServer, type Service, serve } from '../kit/serve.ts';
import { readSettings, type Settings, type Values } from '../kit/settings.ts';
import type { Preset } from '../pipeline/preset.ts';
import type { StageName } from '../pipeline/stages.ts';
import { expectModel } from './expect-model.ts';
import type { ExpectedModel } from './expected-model.ts';
import { modelService } from './model-service.ts';
import { ServedModel } from './served-model.ts';
import { DenoisingSteps } from './steps/denoising-steps.ts';
import { TritonClient } from './triton-client.ts';

/** What a stage's implementation gets. */
export interface StageContext {
  preset: Preset;
  triton: TritonClient;
  /** Sends the requests of denoising loops. */
  steps: DenoisingSteps;
  model: ServedModel;
  log: Logger;
}

/** One stage of the pipeline: the models it needs and the service it implements. */
export interface Stage<S extends Settings = Settings> {
  name: StageName;
  /** Its settings besides {@link stageSettings}. */
  settings: S;
  /** The models it calls. */
  expectedModels(preset: Preset): readonly ExpectedModel[];
  /** Largest request message, bytes. */
  maxRequestBytes(preset: Preset): number;
  /**
   * Checks the stage's files and settings before anything starts; returns what creates the service. Throws INVALID_ARGUMENT
   * naming the setting at fault.
   */
  prepare(preset: Preset, values: Values<S>): (context: StageContext) => Service;
}

/** A stage that is ready to be started. */
export interface PreparedStage {
  name: StageName;
  preset: Preset;
  expectedModels: readonly ExpectedModel[];
  maxRequestBytes: number;
  service(context: StageContext): Service;
}

/** Throws INVALID_ARGUMENT naming the setting at fault. */
export function prepareStage(stage: Stage, preset: Preset, environment = process.env): PreparedStage {
  const service = stage.prepare(preset, readSettings(stage.settings, environment));
  const maxRequestBytes = stage.maxRequestBytes(preset);
  return { name: stage.name, preset, expectedModels: stage.expectedModels(preset), maxRequestBytes, service };
}

export interface StageOptions {
  /** Where to serve, see `serve()`. */
  address: string;
  /** Address of the inference server. */
  inferenceAddress: string;
  /** Version of the model. Default: the inference server chooses. */
  modelVersion?: string | undefined;
  log: Logger;
  /** Default: no TLS. */
  tls?: ProcessTls | undefined;
  /** How long to wait for the inference server and the model, seconds. */
  startupTimeoutSeconds: number;
  /** Longest that one inference request may take, seconds. */
  requestTimeoutSeconds: number;
  /** Limit on bytes of inference requests in flight. */
  maxBytesInFlight: number;
  /** Whether large tensors go through shared memory where the inference server can open it. Default auto. */
  sharedMemory?: 'auto' | 'off';
  /** Concurrent calls of the stage; one more is RESOURCE_EXHAUSTED. */
  maxConcurrentCalls: number;
  /** How long calls may go on after `stop`, seconds. */
  drainSeconds: number;
  /** Ends the wait for the inference server. */
  signal: AbortSignal;
}

/**
 * Starts a stage: waits for its models, checks their inputs and outputs against the preset, then serves. Throws
 * FAILED_PRECONDITION (unexpected model) or UNAVAILABLE (no inference server in time).
 */
export function startStage(stage: PreparedStage, options: StageOptions): Promise<RunningServer> {
  const { log, tls } = options;
  return openScope(options.signal, async (scope) => {
    const triton = scope.add(
      new TritonClient({
        address: options.inferenceAddress,
        requestTimeoutSeconds: options.requestTimeoutSeconds,
        maxBytesInFlight: options.maxBytesInFlight,
        sharedMemory: options.sharedMemory ?? 'auto',
        modelVersion: options.modelVersion,
        ...(tls && { tls: tls.client }),
      }),
    );
    const steps = new DenoisingSteps(triton, log);
    for (const expected of stage.expectedModels) {
      const config = await expectModel(triton, expected, options.startupTimeoutSeconds, scope.signal);
      if (config) {
        steps.meetOn(config);
      }
    }
    if (options.sharedMemory !== 'off') {
      const reason = await triton.whyNoSharedMemory();
      log.info({ isUsed: reason === undefined, ...(reason && { reason }) }, 'shared memory with the inference server');
    }
    const model = new ServedModel(triton, stage.name, stage.preset);
    const server = await scope.open(() =>
      serve({
        address: options.address,
        services: [stage.service({ preset: stage.preset, triton, steps, model, log }), modelService(model)],
        log,
        ...(tls && { tls: tls.server }),
        maxRequestBytes: stage.maxRequestBytes,
        maxConcurrentCalls: options.maxConcurrentCalls,
        callTimeoutSeconds: longCallSeconds,
        drainSeconds: options.drainSeconds,
      }),
    );
    return { ...server, stop: () => scope.close() };
  });
}
