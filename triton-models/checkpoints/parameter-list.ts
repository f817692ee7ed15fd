import { elementCount } from '../../services/pipeline/tensor.ts';
import type { StoredParameter, Weights } from './weights.ts';

/** Lists the parameters of a network by letting it build its graph: names and shapes, in the order of first use. */
export class ParameterList implements Weights {
  readonly shapes = new Map<string, readonly number[]>();

  parameter(name: string, shape: readonly number[]): StoredParameter {
    this.shapes.set(name, shape);
    return { file: '', dataType: 'F32', offset: 0, length: 0 };
  }

  /** Number of elements of all parameters together. */
  get count(): number {
    return [...this.shapes.values()].reduce((sum, shape) => sum + elementCount(shape), 0);
  }
}
