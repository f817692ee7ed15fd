import { createHash } from 'node:crypto';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../kit/errors.ts';
import { firstFrameModelNamesOf, modelNames, type Preset } from '../pipeline/preset.ts';
import { type StageName, stages } from '../pipeline/stages.ts';
import { modelContent } from './model-content.ts';
import type { TritonClient } from './triton-client.ts';

const callSeconds = 10;

/** How old a recent answer may be, milliseconds: the steps of one job's stage that ask before it begins take less. */
const recentMilliseconds = 1000;

/** Part of every model's name; increased if a stage makes other results of the same request. */
const format = 1;

/** The model that a stage's inference server has loaded, with further ones of its stage. It may change while the stage runs. */
export class ServedModel {
  readonly #triton: TritonClient;
  readonly #stage: StageName;
  readonly #models: readonly string[];
  readonly #settings: string;
  /** The last answer, and when the inference server was asked, as `performance.now()`. */
  #last: { identity: string; askedAt: number } | undefined;

  constructor(triton: TritonClient, stage: StageName, preset: Preset) {
    this.#triton = triton;
    this.#stage = stage;
    const { keyframes, firstFrame, things } = preset;
    const continues = stage === 'keyframes' && firstFrame !== undefined;
    this.#models = [
      stages[stage].model,
      ...(continues ? Object.values(firstFrameModelNamesOf(preset)) : []),
      ...(continues && things ? [modelNames.decoder] : []),
    ];
    this.#settings = JSON.stringify(
      continues ? [keyframes, firstFrame, ...(things ? [things] : [])] : preset[stages[stage].preset],
    );
  }

  /**
   * Hash over all that determines the stage's results besides the request: graph, weights, the server's version and the
   * stage's part of the preset. Undefined if the server's configuration does not give the hash of graph and weights: the
   * model was built by an earlier release, or the server lacks this extension of the protocol.
   */
  async identify(signal: AbortSignal): Promise<string | undefined> {
    const askedAt = performance.now();
    const [contents, runtime] = await Promise.all([
      Promise.all(this.#models.map((model) => modelContent(this.#triton, model, signal))),
      this.#runtime(signal),
    ]);
    if (contents.includes(undefined)) {
      this.#last = undefined;
      return undefined;
    }
    const parts = [format, ...contents, runtime, this.#settings];
    const identity = createHash('sha256').update(parts.join('\n')).digest('hex');
    this.#last = { identity, askedAt };
    return identity;
  }

  /** The same, or what it was up to a second ago: enough before work after which {@link confirm} asks again. */
  async identifyRecent(signal: AbortSignal): Promise<string | undefined> {
    const last = this.#last;
    const isRecent = last !== undefined && performance.now() - last.askedAt < recentMilliseconds;
    return isRecent ? last.identity : this.identify(signal);
  }

  /** Throws UNAVAILABLE unless the model is the one that a request names; any is if it names none. */
  async confirm(expected: string, signal: AbortSignal): Promise<void> {
    this.#requireSame(expected, expected === '' ? '' : await this.identify(signal));
  }

  /** The same with {@link identifyRecent}. */
  async confirmRecent(expected: string, signal: AbortSignal): Promise<void> {
    this.#requireSame(expected, expected === '' ? '' : await this.identifyRecent(signal));
  }

  #requireSame(expected: string, identity: string | undefined): void {
    if (identity !== expected) {
      const message = `The model ${stages[this.#stage].model} is not the one that the request names: it was replaced`;
      throw new FusionError(Status.UNAVAILABLE, message, { reason: 'MODEL_CHANGED' });
    }
  }

  async #runtime(signal: AbortSignal): Promise<string> {
    return (await this.#triton.server.metadata({ signal, timeoutSeconds: callSeconds })).version;
  }
}
