import { readFile } from 'node:fs/promises';
import { Tokenizer } from '@huggingface/tokenizers';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';
import type { ClipConfig } from '../../services/pipeline/networks/clip.ts';

const [startToken, endToken] = ['<|startoftext|>', '<|endoftext|>'];

/** Splits texts into CLIP's tokens. */
export interface ClipTokenizer {
  /** Start, text, end and zeros: `context_length` ids. A longer text is cut. */
  tokenize(text: string): number[];
}

/** Reads a tokenizer.json. Throws NOT_FOUND when there is none and FAILED_PRECONDITION when it is not CLIP's. */
export async function readClipTokenizer(path: string, config: ClipConfig): Promise<ClipTokenizer> {
  const content = await readFile(path, 'utf8').catch((error: Error) => {
    throw new FusionError(
      Status.NOT_FOUND,
      `tokenizer: ${path} can't be read (${reasonOf(error)}); \`fusionframes models pull\` downloads it with the weights, and --random-weights does without`,
      {
        reason: 'CHECKPOINT_NOT_FOUND',
        cause: error,
      },
    );
  });
  const tokenizer = parse(path, content);
  const vocabulary = tokenizer.get_vocab();
  const [start, end] = [vocabulary.get(startToken), vocabulary.get(endToken)];
  const { context_length: length, vocab_size } = config;
  // The network reads the text at its largest id.
  if (start === undefined || end !== vocab_size - 1) {
    throw unusable(path, `${endToken} must be its last token, ${vocab_size - 1}, as the network has it (got ${end})`);
  }
  return {
    tokenize: (text) => {
      const { ids } = tokenizer.encode(text, { add_special_tokens: false });
      return framed(ids, start, end, length);
    },
  };
}

/** A vocabulary for networks of random weights: every byte of the text is a token. */
export function standInTokenizer({ context_length, vocab_size }: ClipConfig): ClipTokenizer {
  const end = vocab_size - 1;
  return {
    tokenize: (text) => {
      const ids = [...Buffer.from(text)].map((byte) => byte % (end - 1));
      return framed(ids, end - 1, end, context_length);
    },
  };
}

function framed(ids: readonly number[], start: number, end: number, length: number): number[] {
  const whole = [start, ...ids.slice(0, length - 2), end];
  return Array.from({ length }, (_, i) => whole[i] ?? 0);
}

function parse(path: string, content: string): Tokenizer {
  try {
    return new Tokenizer(JSON.parse(content), {});
  } catch (cause) {
    throw unusable(path, 'it does not describe a tokenizer', cause);
  }
}

function unusable(path: string, fault: string, cause?: unknown): FusionError {
  return new FusionError(Status.FAILED_PRECONDITION, `tokenizer: ${path} can't be used: ${fault}`, {
    reason: 'TOKENIZER_UNUSABLE',
    cause,
  });
}
