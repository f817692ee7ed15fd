import {
  type EncodeRequest,
  TextEncoderServiceDefinition,
  type TextEncoding,
} from '../../proto/gen/fusionframes/v1/text_encoder.ts';
import { invalidField, inWords } from '../kit/errors.ts';
import { type Service, service } from '../kit/serve.ts';
import { handOver } from '../pipeline/hand-over.ts';
import { checkPriority } from '../pipeline/priority.ts';
import { checkPromptLength, maxPromptCharacters } from '../pipeline/prompt-length.ts';
import { toWireTensor } from '../pipeline/tensor-chunks.ts';
import type { Stage, StageContext } from '../triton/stage.ts';
import { encodeText, expectedModel, padTokens } from './encode-text.ts';
import { type Encoding, EncodingCache } from './encoding-cache.ts';
import { PromptTokenizer } from './prompt-tokenizer.ts';
import { textEncoderSettings } from './text-encoder-settings.ts';

/** Enough for the longest prompt and negative prompt. */
const maxTextRequestBytes = 512 << 10;

/** Encodes a prompt, and optionally a negative prompt, into the context of the keyframe network. */
export const textEncoderStage: Stage<typeof textEncoderSettings> = {
  name: 'text-encoder',
  settings: textEncoderSettings,
  expectedModels: (preset) => [expectedModel(preset)],
  maxRequestBytes: () => maxTextRequestBytes,
  prepare: (preset, { tokenizer: file, cacheBytes }) => {
    // The preset's own tokenizer may arrive together with its weights, which are checked later.
    const given = file === '' ? undefined : new PromptTokenizer(preset, file);
    return (context) => encoderService(context, given ?? new PromptTokenizer(preset), new EncodingCache(cacheBytes));
  },
};

function encoderService(context: StageContext, tokenizer: PromptTokenizer, cache: EncodingCache): Service {
  const { preset } = context;

  /**
   * @param attended tokens of the prompt
   * @param model name of the model that must be used; empty: any
   * @param priority of the first of the calls that share the encoding
   */
  const encode = (
    ids: readonly number[],
    attended: number,
    { model, priority }: EncodeRequest,
    signal: AbortSignal,
  ): Promise<Encoding> => {
    const input = padTokens(ids, attended, preset);
    // Besides the model, these numbers determine the encoding.
    const key = `${model}|${input.ids.join(' ')}|${attended}`;
    return cache.get(key, signal, (shared) => encodeText(context, input, priority, shared));
  };

  return service(TextEncoderServiceDefinition, {
    async encode(request: EncodeRequest, { signal }) {
      const prompt = tokenizer.tokenize(checkText('prompt', request.prompt));
      if (prompt.ids.length === 1) {
        // Never the text itself, because errors are logged.
        throw invalidField('prompt', inWords('text without tokens'), 'text with at least one token');
      }
      const isNegativeGiven = checkLength('negative_prompt', request.negativePrompt).trim() !== '';
      const negative = isNegativeGiven ? tokenizer.tokenizeNegative(request.negativePrompt, prompt) : undefined;

      await context.model.confirm(request.model, signal);
      const attended = prompt.ids.length;
      checkPriority(request.priority);
      const [promptEncoding, negativeEncoding] = await Promise.all([
        encode(prompt.ids, attended, request, signal),
        negative && encode(negative.ids, attended, request, signal),
      ]);
      return {
        prompt: toWire(promptEncoding),
        negativePrompt: negativeEncoding && toWire(negativeEncoding),
        truncatedTokens: prompt.truncated,
        negativeTruncatedTokens: negative?.truncated ?? 0,
        maxTokens: tokenizer.maxTokens,
        unknownWords: prompt.unknownWords,
        negativeUnknownWords: negative?.unknownWords ?? [],
        isOverflowed: promptEncoding.isOverflowed,
        isNegativeOverflowed: negativeEncoding?.isOverflowed ?? false,
      };
    },
  });
}

function checkText(field: string, text: string): string {
  if (text.trim() === '') {
    throw invalidField(field, text, `1 to ${maxPromptCharacters} characters`);
  }
  return checkLength(field, text);
}

function checkLength(field: string, text: string): string {
  checkPromptLength(field, text);
  return text;
}

function toWire({ context, contextMask }: Encoding): TextEncoding {
  return { context: toWireTensor(handOver('text-encoder', context)), contextMask: toWireTensor(contextMask) };
}
