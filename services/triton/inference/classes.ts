import { invalidField } from '../../kit/errors.ts';
import { type TritonTensor, toTexts } from '../tensors/triton-tensor.ts';

/** One class of a classification. */
export interface Class {
  score: number;
  index: number;
  /** Only if the model has labels. */
  label: string | undefined;
}

/**
 * Reads an output that was requested with `classes`: for each batch item (one, if the model does not batch) its classes, best
 * first. Throws INVALID_ARGUMENT for a tensor that is not a classification.
 */
export function readClasses(output: TritonTensor): Class[][] {
  const classes = toTexts(output).map(readClass);
  const perItem = output.shape.at(-1) ?? 1;
  return Array.from({ length: perItem === 0 ? 0 : classes.length / perItem }, (_, item) =>
    classes.slice(item * perItem, (item + 1) * perItem),
  );
}

function readClass(text: string): Class {
  // A label may contain colons.
  const parts = /^([^:]+):(\d+)(?::(.*))?$/s.exec(text);
  if (!parts) {
    throw invalidField('classification', text, '"score:index" or "score:index:label"');
  }
  return { score: Number(parts[1]), index: Number(parts[2]), label: parts[3] };
}
