import type { TextEncoding } from '../../proto/gen/fusionframes/v1/text_encoder.ts';
import { invalidField, inWords } from '../kit/errors.ts';
import type { Tensor } from './tensor.ts';
import { fromWireTensor } from './tensor-chunks.ts';

/** An encoded text: context [tokens, context_dim], mask [tokens]. */
export interface TextContext {
  context: Tensor<'float32'>;
  contextMask: Tensor<'bool'>;
}

/** Throws INVALID_ARGUMENT naming the tensor. */
export function readText(field: string, text: TextEncoding | undefined, contextSize: number): TextContext {
  const context = fromWireTensor(`${field}.context`, text?.context, 'float32', 2);
  const contextMask = fromWireTensor(`${field}.context_mask`, text?.contextMask, 'bool', 1);
  const [tokens, size] = context.shape;
  if (size !== contextSize) {
    throw invalidField(`${field}.context`, inWords(`shape [${context.shape}]`), `[tokens, ${contextSize}]`);
  }
  if (contextMask.shape[0] !== tokens) {
    throw invalidField(`${field}.context_mask`, inWords(`shape [${contextMask.shape}]`), `[${tokens}]`);
  }
  return { context, contextMask };
}

/** Size of the longest text's context and mask. */
export function maxTextBytes(tokens: number, { context_dim }: { context_dim: number }): number {
  return tokens * (context_dim * 4 + 1);
}
