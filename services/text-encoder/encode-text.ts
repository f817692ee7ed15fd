import { BackendTime } from '../kit/telemetry/backend-time.ts';
import { countNotFinite, isFiniteThroughout } from '../pipeline/finite.ts';
import { networkInterfaces } from '../pipeline/networks/preset-networks.ts';
import { modelNames, type Preset } from '../pipeline/preset.ts';
import { tensor } from '../pipeline/tensor.ts';
import { expectNetwork } from '../triton/expected-model.ts';
import { queueLevels } from '../triton/queue-level.ts';
import type { StageContext } from '../triton/stage.ts';
import type { Encoding } from './encoding-cache.ts';

/** The encoder's input: token ids, and how many of them, from the first, are attended to. */
export interface EncoderInput {
  /** Padded to the length of the context. */
  ids: number[];
  attended: number;
}

/**
 * Pads the ids to the context's length: one more than the prompt's tokens (up to the encoder's limit), or the preset's
 * fixed number.
 *
 * @param attended tokens of the prompt; a negative prompt is attended to as far as its prompt, padding included
 */
export function padTokens(ids: readonly number[], attended: number, preset: Preset): EncoderInput {
  const { contextTokens, maxTokens, padTokenId } = preset.textEncoder;
  const length = contextTokens === 'trimmed' ? Math.min(attended + 1, maxTokens) : contextTokens;
  return { ids: Array.from({ length }, (_, i) => ids[i] ?? padTokenId), attended };
}

export function expectedModel(preset: Preset) {
  return expectNetwork(modelNames.textEncoder, 1, networkInterfaces.textEncoder(preset));
}

/**
 * Runs the encoder and its projection. An encoding with an infinity or NaN becomes zeros, all masked, as published:
 * half-precision encoders overflow on rare texts.
 *
 * @param priority the video's, −100 to 100
 */
export async function encodeText(
  { preset, triton, log }: StageContext,
  input: EncoderInput,
  priority: number,
  signal: AbortSignal,
): Promise<Encoding> {
  const tokens = input.ids.length;
  const mask = Uint8Array.from({ length: tokens }, (_, i) => (i < input.attended ? 1 : 0));
  const backendTime = new BackendTime();
  const { context } = await triton.inferExpected(
    expectedModel(preset),
    {
      input_ids: tensor('int64', [1, tokens], BigInt64Array.from(input.ids, BigInt)),
      attention_mask: tensor('bool', [1, tokens], mask),
    },
    { priority: queueLevels(priority)(), backendTime, signal },
  );
  backendTime.note('text-encoder');
  const { shape, data } = context;
  const isOverflowed = !isFiniteThroughout(data);
  if (isOverflowed) {
    countNotFinite('text-encoder');
    log.warn({ tokens }, 'the text encoder overflowed: the text has no effect');
  }
  return {
    context: tensor('float32', shape.slice(1), isOverflowed ? new Float32Array(data.length) : data),
    contextMask: tensor('bool', [tokens], isOverflowed ? new Uint8Array(tokens) : mask),
    isOverflowed,
  };
}
