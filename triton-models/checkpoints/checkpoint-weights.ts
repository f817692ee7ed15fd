import { basename } from 'node:path';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import type { Safetensors, SafetensorsEntry } from './safetensors.ts';
import type { ParameterType, StoredParameter, Weights } from './weights.ts';

/** A file of a checkpoint. */
export interface CheckpointPart {
  file: Safetensors;
  /** Name of the file in the model's folder; default: its own. */
  name?: string;
  /** Put before the names of the file's tensors. */
  prefix?: string;
}

const parameterTypes: readonly string[] = ['F32', 'F16', 'BF16'] satisfies ParameterType[];

/** The parameters of a checkpoint of one or more files. Ask {@link CheckpointWeights.verify} once the graph is built. */
export class CheckpointWeights implements Weights {
  readonly #tensors = new Map<string, SafetensorsEntry & { file: string }>();
  readonly #paths: string[];
  readonly #asked = new Set<string>();
  readonly #faults = new Set<string>();

  constructor(parts: readonly CheckpointPart[]) {
    this.#paths = parts.map(({ file }) => file.path);
    for (const { file, name = basename(file.path), prefix = '' } of parts) {
      for (const [tensor, entry] of file.tensors) {
        this.#tensors.set(prefix + tensor, { ...entry, file: name });
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
    } else if (found.shape.join() !== shape.join()) {
      this.#faults.add(`${name}: expected [${shape}], found [${found.shape}]`);
    } else {
      return {
        file: found.file,
        dataType: found.dataType as ParameterType,
        offset: found.offset,
        length: found.length,
      };
    }
    return { file: '', dataType: 'F32', offset: 0, length: 0 };
  }

  /**
   * Throws FAILED_PRECONDITION listing every parameter that the network asked for and the checkpoint lacks or has in
   * another shape or type, and every tensor that it has and the network did not ask for, save those whose name starts
   * with one of `others`: parts of another network in the same file.
   */
  verify(network: string, others: readonly string[] = []): void {
    const faults = [...this.#faults];
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
