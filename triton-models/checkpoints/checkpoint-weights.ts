import { basename } from 'node:path';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import type { Checkpoint, StoredTensor } from './checkpoint.ts';
import type { ParameterType, StoredParameter, Weights } from './weights.ts';

/** A file of a checkpoint. */
export interface CheckpointPart {
  file: Checkpoint;
  /** Put before the names of the file's tensors. */
  prefix?: string;
}

const parameterTypes: readonly string[] = ['F32', 'F16', 'BF16'] satisfies ParameterType[];

/** The parameters of a checkpoint of one or more files. Ask {@link CheckpointWeights.verify} once the graph is built. */
export class CheckpointWeights implements Weights {
  readonly #tensors = new Map<string, StoredTensor>();
  readonly #paths: string[];
  readonly #asked = new Set<string>();
  readonly #faults = new Set<string>();

  constructor(parts: readonly CheckpointPart[]) {
    this.#paths = parts.map(({ file }) => file.path);
    for (const { file, prefix = '' } of parts) {
      for (const [name, stored] of file.tensors) {
        this.#tensors.set(prefix + name, stored);
      }
    }
  }

  parameter(name: string, shape: readonly number[]): StoredParameter {
    this.#asked.add(name);
    const found = this.#tensors.get(name);
    if (found === undefined) {
      this.#faults.add(`${name}: expected [${shape}], found nothing`);
    } else if (!parameterTypes.includes(found.dataType)) {
      this.#faults.add(`${name}: expected ${parameterTypes.join(', ')}, found ${found.dataType}`);
    } else if (!fits(found.shape, shape)) {
      this.#faults.add(`${name}: expected [${shape}], found [${found.shape}]`);
    } else {
      const dataType = found.dataType as ParameterType;
      return { file: basename(found.file), dataType, offset: found.offset, length: found.length };
    }
    return { file: '', dataType: 'F32', offset: 0, length: 0 };
  }

  /**
   * Throws FAILED_PRECONDITION listing every parameter that the network asked for and the checkpoint lacks or has in
   * another shape or type, and every tensor that it has and the network did not ask for, save those whose name starts
   * with one of `others`: parts of another network in the same file. `further` faults are listed with them.
   */
  verify(network: string, others: readonly string[] = [], further: readonly string[] = []): void {
    const faults = [...further, ...this.#faults];
    for (const [name, { shape }] of this.#tensors) {
      if (!this.#asked.has(name) && !others.some((prefix) => name.startsWith(prefix))) {
        faults.push(`${name}: expected nothing, found [${shape}]`);
      }
    }
    if (faults.length > 0) {
      const list = faults.map((fault) => `\n  ${fault}`).join(';');
      throw new FusionError(
        Status.FAILED_PRECONDITION,
        `${network}: ${this.#paths.join(', ')} does not fit the network's architecture:${list}`,
        { reason: 'CHECKPOINT_MISMATCH', field: 'checkpoint' },
      );
    }
  }
}

/** Whether the shapes are the same, leading axes of one index aside: published null embeddings have them or not. */
function fits(found: readonly number[], expected: readonly number[]): boolean {
  const extra = found.length - expected.length;
  return (
    extra >= 0 && found.slice(0, extra).every((size) => size === 1) && found.slice(extra).join() === expected.join()
  );
}
