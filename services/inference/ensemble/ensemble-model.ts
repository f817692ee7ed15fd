import type { ModelConfig, ModelEnsembling_Step as Step } from '../../../proto/gen/model_config.ts';
import { type Deferred, deferred } from '../../kit/deferred.ts';
import { FusionError, toFusionError } from '../../kit/errors.ts';
import { invalidArgument, requestPrefix, unavailable } from '../errors.ts';
import type { Model, ModelOutputs, ModelRequest } from '../model.ts';
import { checkRequest } from '../requests/check-request.ts';
import { type GivenRequest, givenInput, inRegion } from '../requests/read-request.ts';
import { Statistics } from '../statistics.ts';
import { inMemory, type RegionTensor, type WireTensor } from '../tensors.ts';
import { neededSteps } from './needed-steps.ts';
import { stepsOf, validateEnsemble, validateMembers } from './validate-ensemble.ts';

/** Finds a member of an ensemble; version −1 is its latest. */
export type FindModel = (name: string, version: bigint) => Model;

/** A model that passes tensors through other models, each step as soon as its inputs are there. */
export class EnsembleModel implements Model {
  readonly name: string;
  readonly version: bigint;
  readonly config: ModelConfig;
  readonly statistics = new Statistics();
  readonly labels: ReadonlyMap<string, readonly string[]>;
  readonly #find: FindModel;
  #running = 0;
  #drained: Deferred<void> | undefined;

  /** Throws INVALID_ARGUMENT if the steps do not match each other or their models. */
  constructor(config: ModelConfig, version: bigint, ownLabels: Map<string, string[]>, find: FindModel) {
    this.name = config.name;
    this.version = version;
    this.config = config;
    this.#find = find;
    validateEnsemble(config);
    validateMembers(config, (step) => find(step.modelName, step.modelVersion).config);
    const labels = new Map<string, readonly string[]>(ownLabels);
    for (const step of stepsOf(config)) {
      const member = find(step.modelName, step.modelVersion);
      for (const [output, tensor] of Object.entries(step.outputMap)) {
        const inherited = member.labels.get(output);
        if (inherited && !labels.has(tensor)) {
          labels.set(tensor, inherited);
        }
      }
    }
    this.labels = labels;
  }

  infer(request: ModelRequest, signal: AbortSignal): Promise<ModelOutputs> {
    if (this.#drained) {
      throw unavailable(`${requestPrefix(request.id)}ensemble '${this.name}' takes no further requests`);
    }
    return this.#run(request, signal);
  }

  async close(): Promise<void> {
    this.#drained = deferred();
    if (this.#running === 0) {
      this.#drained.resolve();
    }
    await this.#drained.promise;
  }

  async #run(request: ModelRequest, signal: AbortSignal): Promise<ModelOutputs> {
    const started = process.hrtime.bigint();
    const items = Math.max(1, request.batchSize);
    this.#running++;
    try {
      const tensors = await this.#runSteps(request, signal);
      const total = process.hrtime.bigint() - started;
      const durations = { computeInput: 0n, computeInfer: total, computeOutput: 0n };
      this.statistics.countRun(items, durations);
      this.statistics.countSuccess(items, total, 0n, durations);
      return new Map(request.outputs.map((name) => [name, inMemory(tensors.get(name)!)]));
    } catch (error) {
      this.statistics.countFailure(process.hrtime.bigint() - started);
      throw error;
    } finally {
      this.#running--;
      if (this.#running === 0) {
        this.#drained?.resolve();
      }
    }
  }

  async #runSteps(request: ModelRequest, signal: AbortSignal): Promise<Map<string, WireTensor | RegionTensor>> {
    const tensors = new Map<string, WireTensor | RegionTensor>(request.inputs);
    const failed = new AbortController();
    const either = AbortSignal.any([signal, failed.signal]);
    const waiting = neededSteps(this.config, request.outputs);
    const startReady = async (): Promise<void> => {
      const ready = [...waiting].filter((step) => Object.values(step.inputMap).every((name) => tensors.has(name)));
      await Promise.all(
        ready.map(async (step) => {
          waiting.delete(step);
          for (const [name, tensor] of await this.#runStep(step, request, tensors, either)) {
            tensors.set(step.outputMap[name]!, tensor);
          }
          await startReady();
        }),
      );
    };
    try {
      await startReady();
    } catch (error) {
      failed.abort(error);
      throw error;
    }
    if (request.outputs.some((name) => !tensors.has(name))) {
      throw invalidArgument(
        `in ensemble '${this.name}', ${requestPrefix(request.id)}unexpected deadlock, at least one output is not set while no more ensemble steps can be made`,
      );
    }
    return tensors;
  }

  async #runStep(
    step: Step,
    request: ModelRequest,
    tensors: ReadonlyMap<string, WireTensor | RegionTensor>,
    signal: AbortSignal,
  ): Promise<ModelOutputs> {
    try {
      const member = this.#find(step.modelName, step.modelVersion);
      const own = checkRequest(givenToMember(step, request, tensors), member.config);
      return await member.infer({ ...own, onRun: request.onRun }, signal);
    } catch (error) {
      if (signal.aborted) {
        throw error;
      }
      const { code, message } = toFusionError(error);
      throw new FusionError(code, `in ensemble '${this.name}', ${message}`, { cause: error });
    }
  }
}

function givenToMember(
  step: Step,
  request: ModelRequest,
  tensors: ReadonlyMap<string, WireTensor | RegionTensor>,
): GivenRequest {
  const inputs = Object.entries(step.inputMap).map(([name, tensor]) => {
    const given = tensors.get(tensor)!;
    const { type, shape } = given;
    return [
      name,
      'data' in given ? givenInput(type.name, shape, given.data) : inRegion(type.name, shape, given.region),
    ] as const;
  });
  const outputs = Object.keys(step.outputMap).map((name) => [name, { classes: undefined, region: undefined }] as const);
  return {
    id: request.id,
    parameters: {
      priority: request.priority,
      timeoutMicroseconds: request.timeoutMicroseconds,
      sequenceId: 0n,
      sequenceStart: false,
      sequenceEnd: false,
    },
    inputs: new Map(inputs),
    outputs: new Map(outputs),
    release: () => {},
  };
}
