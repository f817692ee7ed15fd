import { AsyncResource } from 'node:async_hooks';
import { LRUCache } from 'lru-cache';
import { Status } from 'nice-grpc-common';
import { type ModelConfig, ModelInstanceGroup_Kind } from '../../../proto/gen/model_config.ts';
import { type Deferred, deferred } from '../../kit/deferred.ts';
import { isAbortError, toFusionError } from '../../kit/errors.ts';
import { OccasionalLog } from '../../kit/limits/occasional-log.ts';
import type { Logger } from '../../kit/log.ts';
import { BackendTime } from '../../kit/telemetry/backend-time.ts';
import { describeSpan, inSpan, linkToSpan } from '../../kit/telemetry/spans.ts';
import { untilAllAborted } from '../../kit/until-all-aborted.ts';
import type { NetworkInterface, TensorsOf } from '../../pipeline/networks/network-interface.ts';
import type { Tensor } from '../../pipeline/tensor.ts';
import type { ExpectedModel } from '../expected-model.ts';
import type { InferRequest, TritonClient } from '../triton-client.ts';
import { itemsOf, joinInputs, shapeKeyOf, splitOutputs } from './joint-request.ts';
import { type EndBatch, type MeetingStep, StepMeeting } from './step-meeting.ts';

/** Errors that say nothing about the request. */
const unreachable: ReadonlySet<Status> = new Set([Status.UNAVAILABLE, Status.DEADLINE_EXCEEDED]);

type Options = Omit<InferRequest, 'model' | 'inputs'>;
type Outputs = Record<string, Tensor>;

interface Step extends MeetingStep {
  model: ExpectedModel;
  inputs: Record<string, Tensor>;
  options: Options;
  start: number;
  outcome: Deferred<Outputs>;
  /** Runs work in the step's own asynchronous context, that of its trace: another video's step may have set it off. */
  inContext<T>(work: () => T): T;
  /** To the step's span. */
  link: ReturnType<typeof linkToSpan>;
}

/**
 * Sends the requests of denoising loops. Those of several videos meet in one request where they have to share a device that
 * gains from batches.
 */
export class DenoisingSteps {
  readonly #triton: TritonClient;
  readonly #log: OccasionalLog;
  /** Maximum items in a batch of the models whose steps meet. */
  readonly #maxItems = new Map<string, number>();
  /** Of each model and shape, since other shapes cannot share a request. */
  readonly #meetings = new LRUCache<string, StepMeeting<Step>>({ max: 64 });

  constructor(triton: TritonClient, log: Logger) {
    this.#triton = triton;
    this.#log = new OccasionalLog(log);
  }

  /** Takes note of how the server runs a model; steps of one that it was not told of are sent alone. */
  meetOn(config: ModelConfig): void {
    if (isOneDevice(config) && config.maxBatchSize > 1) {
      this.#maxItems.set(config.name, config.maxBatchSize);
    }
  }

  /** `TritonClient.inferExpected` for a step; aborting the signal also ends its wait for other steps. */
  async infer<Network extends NetworkInterface>(
    model: ExpectedModel<Network>,
    inputs: TensorsOf<Network['inputs']>,
    options: Options,
  ): Promise<TensorsOf<Network['outputs']>> {
    const maxItems = this.#maxItems.get(model.name);
    if (maxItems === undefined) {
      return await this.#triton.inferExpected(model, inputs, options);
    }
    const meeting = this.#meetingOf(`${model.name} ${shapeKeyOf(inputs)}`, maxItems);
    const { signal, priority = 0 } = options;
    signal.throwIfAborted();
    const step: Step = {
      model: model as unknown as ExpectedModel,
      inputs,
      options,
      items: itemsOf(inputs),
      priority,
      start: performance.now(),
      outcome: deferred(),
      inContext: AsyncResource.bind((work) => work()),
      link: linkToSpan(),
    };
    const abort = () => {
      meeting.remove(step);
      step.outcome.reject(signal.reason);
    };
    signal.addEventListener('abort', abort, { once: true });
    try {
      meeting.add(step);
      return (await step.outcome.promise) as TensorsOf<Network['outputs']>;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  #meetingOf(key: string, maxItems: number): StepMeeting<Step> {
    const servers = () => this.#triton.servers;
    const send = (batch: readonly Step[], end: EndBatch) => void this.#send(batch, end);
    const meeting = this.#meetings.get(key) ?? new StepMeeting({ maxItems, servers, send });
    this.#meetings.set(key, meeting);
    return meeting;
  }

  /**
   * Sends a batch as one request; if that is at fault, step by step, so that no video fails because of another.
   *
   * @param end called before the steps get their results: their videos' next steps belong to another batch
   */
  async #send(batch: readonly Step[], end: EndBatch): Promise<void> {
    if (batch.length === 1) {
      await this.#sendAlone(batch[0]!, end);
      return;
    }
    try {
      const shares = await this.#sendTogether(batch);
      end(true);
      batch.forEach(({ outcome }, index) => void outcome.resolve(shares[index]!));
    } catch (error) {
      if (isAbortError(error) || unreachable.has(toFusionError(error).code)) {
        end(false);
        batch.forEach(({ outcome }) => void outcome.reject(error));
        return;
      }
      const { name } = batch[0]!.model;
      this.#log.warn(
        name,
        { model: name, err: error },
        'a request with steps of several videos failed: each is sent alone',
      );
      await Promise.all(batch.map((step) => this.#sendAlone(step)));
      end(false);
    }
  }

  async #sendAlone(
    { model, inputs, options, start, items, outcome, inContext }: Step,
    end: EndBatch = () => {},
  ): Promise<void> {
    try {
      const request = inContext(() => {
        describe(start, items);
        return this.#triton.inferExpected(model, inputs as never, options);
      });
      const outputs = await request;
      end(true);
      outcome.resolve(outputs);
    } catch (error) {
      end(false);
      outcome.reject(error);
    }
  }

  /** Sends a batch in the trace of its first step. The other steps' spans are linked to it. */
  async #sendTogether(batch: readonly Step[]): Promise<Outputs[]> {
    const [{ model, inContext, link }, ...others] = batch as [Step, ...Step[]];
    const items = batch.reduce((sum, step) => sum + step.items, 0);
    for (const step of batch) {
      step.inContext(() => describe(step.start, items));
    }
    const backendTime = new BackendTime();
    const inputs = joinInputs(batch.map((step) => step.inputs));
    const priority = Math.max(...batch.map((step) => step.priority));
    const signals = batch.map(({ options }) => options.signal);
    const request: Promise<Outputs> = untilAllAborted(signals, (signal) =>
      inContext(() => this.#triton.inferExpected(model, inputs as never, { priority, backendTime, signal })),
    );
    const links = link ? [link] : [];
    const following = others.map((step) =>
      step.inContext(() =>
        inSpan('fusionframes.inference', { 'fusionframes.model': model.name }, () => request, { links }),
      ),
    );
    await Promise.allSettled(following);
    const outputs = await request;
    const shares = splitOutputs(
      outputs,
      batch.map((step) => step.items),
    );
    this.#triton.release(outputs);
    for (const step of batch) {
      step.options.backendTime?.addShare(backendTime, step.items / items);
    }
    return shares;
  }
}

function describe(start: number, items: number): void {
  describeSpan<'fusionframes.step'>({
    'fusionframes.step.wait': (performance.now() - start) / 1000,
    'fusionframes.batch.size': items,
  });
}

/**
 * Whether steps have to share one device, and not a processor, which gains nothing from batches. With several instances,
 * waiting for each other could leave one idle.
 */
function isOneDevice({ instanceGroup }: ModelConfig): boolean {
  const [group, ...others] = instanceGroup;
  return (
    group !== undefined &&
    group.kind !== ModelInstanceGroup_Kind.KIND_CPU &&
    others.length === 0 &&
    Math.max(1, group.count) * Math.max(1, group.gpus.length) === 1
  );
}
