import { readFileSync } from 'node:fs';
import { Tokenizer } from '@huggingface/tokenizers';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../kit/errors.ts';
import { reasonOf } from '../kit/reason-of.ts';
import { requireListed } from '../pipeline/model-manifest.ts';
import { type Preset, presetPath } from '../pipeline/preset.ts';
import { useTables } from './precompiled-normalizer.ts';
import { textEncoderSettings } from './text-encoder-settings.ts';

/** A tokenized text. */
export interface TokenizedText {
  /** Token ids including the end token, without padding. */
  ids: number[];
  /** Number of tokens cut off the end. */
  truncated: number;
  /** Words and punctuation marks missing from the vocabulary, in order, without duplicates; at most {@link maxUnknownWords}. */
  unknownWords: string[];
}

const maxUnknownWords = 20;
const maxShownWord = 40;

/** Splits texts into the tokens of a preset's encoder. */
export class PromptTokenizer {
  /** Maximum number of tokens, including the end token. */
  readonly maxTokens: number;
  readonly #tokenizer: Tokenizer;
  readonly #endTokenId: number;
  readonly #unknownTokenId: number | undefined;

  /**
   * Throws when tokenizer.json is missing, broken, not what a manifest beside it lists, or has more tokens than the
   * encoder: INVALID_ARGUMENT for `file`, FAILED_PRECONDITION for the preset's own.
   *
   * @param file tokenizer.json, as the setting names it; default: the preset's own
   */
  constructor(preset: Preset, file?: string) {
    const { tokenizer, endTokenId, maxTokens, contextTokens, network } = preset.textEncoder;
    const source: TokenizerSource =
      file === undefined
        ? { path: presetPath(preset, tokenizer), field: 'tokenizer', code: Status.FAILED_PRECONDITION }
        : { path: file, field: textEncoderSettings.tokenizer.name, code: Status.INVALID_ARGUMENT };
    this.#tokenizer = readTokenizer(source);
    this.#unknownTokenId = this.#tokenizer.model.unk_token_id;
    this.#endTokenId = endTokenId;
    this.maxTokens = contextTokens === 'trimmed' ? maxTokens : Math.min(maxTokens, contextTokens);

    const vocabularySize = network.vocab_size;
    const largestId = [...this.#tokenizer.get_vocab().values()].reduce((a, b) => Math.max(a, b), endTokenId);
    if (largestId >= vocabularySize) {
      throw unusable(source, `it has token ${largestId}, the encoder has tokens 0 to ${vocabularySize - 1}`);
    }
  }

  tokenize(text: string): TokenizedText {
    // Truncation and the end token are done here, because the library does not truncate.
    const { ids } = this.#tokenizer.encode(text, { add_special_tokens: false });
    const kept = ids.slice(0, this.maxTokens - 1);
    return {
      ids: [...kept, this.#endTokenId],
      truncated: ids.length - kept.length,
      unknownWords: this.#hasUnknown(ids) ? this.#unknownWords(text) : [],
    };
  }

  /**
   * A negative prompt, which gets no more tokens than the prompt has: cut to their number, the end token in place of
   * the last one kept.
   */
  tokenizeNegative(text: string, prompt: TokenizedText): TokenizedText {
    const { ids, truncated, unknownWords } = this.tokenize(text);
    const surplus = Math.max(0, ids.length - prompt.ids.length);
    return {
      ids: [...ids.slice(0, ids.length - surplus - 1), this.#endTokenId],
      truncated: truncated + surplus,
      unknownWords,
    };
  }

  #hasUnknown(ids: readonly number[]): boolean {
    return this.#unknownTokenId !== undefined && ids.includes(this.#unknownTokenId);
  }

  #isKnown(text: string): boolean {
    return !this.#hasUnknown(this.#tokenizer.encode(text, { add_special_tokens: false }).ids);
  }

  #unknownWords(text: string): string[] {
    const words = new Set<string>();
    for (const word of text.split(/\s+/)) {
      if (words.size < maxUnknownWords && !this.#isKnown(word)) {
        for (const part of this.#unknownParts(word)) {
          words.add([...part].slice(0, maxShownWord).join(''));
        }
      }
    }
    return [...words].slice(0, maxUnknownWords);
  }

  /**
   * Of an unknown word, without the punctuation around it: its unknown pieces if the rest is known, else all of it as
   * it was typed.
   */
  #unknownParts(word: string): string[] {
    const bare = word.replace(/^[^\P{P}_]+|[^\P{P}_]+$/gu, '');
    const unknown = piecesOf(bare).filter((piece) => !this.#isKnown(piece));
    if (unknown.some(hasLetters)) {
      return unknown.every(hasLetters) ? unknown : [bare];
    }
    const marks = piecesOf(word).filter((piece) => !hasLetters(piece) && !this.#isKnown(piece));
    return marks.length > 0 ? marks.flatMap((run) => this.#unknownMarks(run)) : [word];
  }

  /** The unknown marks in a run; the whole run if its marks are unknown only together. */
  #unknownMarks(run: string): string[] {
    const marks = [...graphemes.segment(run)].map(({ segment }) => segment);
    const unknown = marks.filter((mark) => !this.#isKnown(mark));
    return unknown.length > 0 ? unknown : [run];
  }
}

const graphemes = new Intl.Segmenter();

/** A word's runs of letters, digits and underscores, and the runs of other marks between them. */
function piecesOf(word: string): string[] {
  return word.match(/[\p{L}\p{N}_][\p{L}\p{M}\p{N}_]*|[^\p{L}\p{N}_]+/gu) ?? [];
}

function hasLetters(piece: string): boolean {
  return /[\p{L}\p{N}_]/u.test(piece);
}

/** Where tokenizer.json is, and the field and status of its errors. */
interface TokenizerSource {
  path: string;
  field: string;
  code: Status;
}

function readTokenizer(source: TokenizerSource): Tokenizer {
  try {
    const content = readFileSync(source.path);
    // In a model repository, it was hashed when the model was built.
    requireListed(source.path, content);
    const tokenizer = createTokenizer(content.toString());
    useTables(tokenizer.normalizer);
    return tokenizer;
  } catch (error) {
    throw unusable(source, reasonOf(error), error);
  }
}

function createTokenizer(json: string): Tokenizer {
  try {
    return new Tokenizer(JSON.parse(json), {});
  } catch {
    throw new Error('it does not describe a tokenizer');
  }
}

function unusable({ path, field, code }: TokenizerSource, fault: string, cause?: unknown): FusionError {
  return new FusionError(code, `${field}: ${path} can't be used: ${fault}`, {
    reason: 'TOKENIZER_UNUSABLE',
    field,
    cause,
  });
}
