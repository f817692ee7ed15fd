import { tensor } from '../pipeline/tensor.ts';
import type { KeyframesTask } from './keyframes-task.ts';

/**
 * The text inputs of the items of a step: first the prompt's, then those with the negative prompt or, without one, marked
 * unconditional, for which the model substitutes its null embedding.
 */
export function textInputs({ prompt, negativePrompt }: KeyframesTask, items: number) {
  const [tokens = 0, contextSize = 0] = prompt.context.shape;
  const context = new Float32Array(items * tokens * contextSize);
  const contextMask = new Uint8Array(items * tokens);
  const unconditional = new Uint8Array(items);
  for (let item = 0; item < items; item++) {
    const text = item === 0 ? prompt : (negativePrompt ?? prompt);
    context.set(text.context.data, item * tokens * contextSize);
    contextMask.set(text.contextMask.data, item * tokens);
    unconditional[item] = item > 0 && !negativePrompt ? 1 : 0;
  }
  return {
    context: tensor('float32', [items, tokens, contextSize], context),
    context_mask: tensor('bool', [items, tokens], contextMask),
    unconditional: tensor('bool', [items, 1], unconditional),
  };
}

/** The same values for every item. */
export function repeat(values: Float32Array, times: number): Float32Array<ArrayBuffer> {
  const repeated = new Float32Array(values.length * times);
  for (let index = 0; index < times; index++) {
    repeated.set(values, index * values.length);
  }
  return repeated;
}

/** A number for every item `[items, 1]`. */
export function perItem(value: number, items: number) {
  return tensor('float32', [items, 1], new Float32Array(items).fill(value));
}
