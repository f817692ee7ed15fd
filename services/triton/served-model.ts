import { createHash } from 'node:crypto';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../kit/errors.ts';
import { firstFrameModelNamesOf, modelNames, type Preset } from '../pipeline/preset.ts';
import { type StageName, stages } from '../pipeline/stages.ts';
import { modelContent } from './model-content.ts';
import type { TritonClient } from './triton-client.ts';

const callSeconds = 10;

/** Part of every model's name; increased if a stage makes other results of the same request. */
const format = 1;

/** The model that a stage's inference server has loaded, with further ones of its stage. It may change while the stage runs. */
export class ServedModel {
  readonly #triton: TritonClient;
  readonly #stage: StageName;
  readonly #models: readonly string[];
  readonly #settings: string;

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
    const [contents, runtime] = await Promise.all([
      Promise.all(this.#models.map((model) => modelContent(this.#triton, model, signal))),
      this.#runtime(signal),
    ]);
    const parts = [format, ...contents, runtime, this.#settings];
    return contents.includes(undefined) ? undefined : createHash('sha256').update(parts.join('\n')).digest('hex');
  }

  /** Throws UNAVAILABLE unless the model is the one that a request names; any is if it names none. */
  async confirm(expected: string, signal: AbortSignal): Promise<void> {
    if (expected !== '' && (await this.identify(signal)) !== expected) {
      const message = `The model ${stages[this.#stage].model} is not the one that the request names: it was replaced`;
      throw new FusionError(Status.UNAVAILABLE, message, { reason: 'MODEL_CHANGED' });
    }
  }

  async #runtime(signal: AbortSignal): Promise<string> {
    return (await this.#triton.server.metadata({ signal, timeoutSeconds: callSeconds })).version;
  }
}
