import { elementCount } from '../../services/pipeline/tensor.ts';
import type { StoredParameter, Weights } from './weights.ts';

/** Lists a network's parameters (names and shapes, in order of first use) by building its graph. */
export class ParameterList implements Weights {
  readonly shapes = new Map<string, readonly number[]>();

  parameter(name: string, shape: readonly number[]): StoredParameter {
    this.shapes.set(name, shape);
    return { file: '', dataType: 'F32', offset: 0, length: 0 };
  }

  /** Total number of elements of all parameters. */
  get count(): number {
    return [...this.shapes.values()].reduce((sum, shape) => sum + elementCount(shape), 0);
  }
}
