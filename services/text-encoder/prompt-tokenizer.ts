import { readFileSync } from 'node:fs';
import { Tokenizer } from '@huggingface/tokenizers';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../kit/errors.ts';
import { type Preset, presetPath } from '../pipeline/preset.ts';

/** A text as the encoder reads it. */
export interface TokenizedText {
  /** The end token last, without padding. */
  ids: number[];
  /** Tokens that were cut off the end. */
  truncated: number;
}

/** Splits texts into the tokens of a preset's encoder. */
export class PromptTokenizer {
  /** Tokens of the longest text, the end token included. */
  readonly maxTokens: number;
  readonly #tokenizer: Tokenizer;
  readonly #endTokenId: number;

  /**
   * Throws FAILED_PRECONDITION when tokenizer.json is missing, broken, or has more tokens than the encoder.
   *
   * @param file tokenizer.json; empty: where the preset says
   */
  constructor(preset: Preset, file = '') {
    const { tokenizer, endTokenId, maxTokens, contextTokens, network } = preset.textEncoder;
    const path = file || presetPath(preset, tokenizer);
    this.#tokenizer = readTokenizer(path);
    this.#endTokenId = endTokenId;
    this.maxTokens = contextTokens === 'trimmed' ? maxTokens : Math.min(maxTokens, contextTokens);

    const vocabularySize = network.vocab_size as number;
    const largestId = [...this.#tokenizer.get_vocab().values()].reduce((a, b) => Math.max(a, b), endTokenId);
    if (largestId >= vocabularySize) {
      throw unusable(path, `it has token ${largestId}, the encoder has tokens 0 to ${vocabularySize - 1}`);
    }
  }

  tokenize(text: string): TokenizedText {
    // Truncation and the end token are ours to do: the library leaves the former out.
    const { ids } = this.#tokenizer.encode(text, { add_special_tokens: false });
    const kept = ids.slice(0, this.maxTokens - 1);
    return { ids: [...kept, this.#endTokenId], truncated: ids.length - kept.length };
  }

  /**
   * A negative prompt, which gets no more tokens than the prompt has: cut to their number, the end token in place of the
   * last one kept.
   */
  tokenizeNegative(text: string, prompt: TokenizedText): TokenizedText {
    const { ids, truncated } = this.tokenize(text);
    const surplus = Math.max(0, ids.length - prompt.ids.length);
    return { ids: [...ids.slice(0, ids.length - surplus - 1), this.#endTokenId], truncated: truncated + surplus };
  }
}

function readTokenizer(path: string): Tokenizer {
  try {
    return new Tokenizer(JSON.parse(readFileSync(path, 'utf8')), {});
  } catch (error) {
    throw unusable(path, (error as Error).message, error);
  }
}

function unusable(path: string, fault: string, cause?: unknown): FusionError {
  return new FusionError(Status.FAILED_PRECONDITION, `tokenizer: ${path} can't be used: ${fault}`, {
    reason: 'TOKENIZER_UNUSABLE',
    field: 'tokenizer',
    cause,
  });
}
