import { basename } from 'node:path';
import { Status } from 'nice-grpc-common';
import { either } from '../../services/kit/either.ts';
import { FusionError } from '../../services/kit/errors.ts';
import type { Checkpoint, StoredTensor } from './checkpoint.ts';
import type { ParameterType, StoredParameter, Weights } from './weights.ts';

/** A file of a checkpoint. */
export interface CheckpointPart {
  file: Checkpoint;
  /** Prefix for the names of the file's tensors. */
  prefix?: string;
}

const parameterTypes: readonly string[] = ['F32', 'F16', 'BF16'] satisfies ParameterType[];

/** The parameters of a checkpoint of one or more files. Call {@link CheckpointWeights.verify} once the graph is built. */
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
      this.#faults.add(`\`${name}\` must have shape [${shape}] (missing)`);
    } else if (!parameterTypes.includes(found.dataType)) {
      this.#faults.add(`\`${name}\` must be ${either(parameterTypes)} (got ${found.dataType})`);
    } else if (!fits(found.shape, shape)) {
      this.#faults.add(`\`${name}\` must have shape [${shape}] (got [${found.shape}])`);
    } else {
      const dataType = found.dataType as ParameterType;
      return { file: basename(found.file), dataType, offset: found.offset, length: found.length };
    }
    return { file: '', dataType: 'F32', offset: 0, length: 0 };
  }

  /**
   * Throws FAILED_PRECONDITION listing every parameter that the checkpoint lacks or has in another shape or type, and
   * every tensor that the network does not use, except those whose names start with one of `others` (parts of another
   * network in the same file). Faults with one cause share a line. Returns a sentence about what `ignoreExtra` left
   * out.
   */
  verify(
    network: string,
    others: readonly string[] = [],
    { further = [], ignoreExtra = false }: VerifyOptions = {},
  ): string | undefined {
    const extra = this.#extra(others);
    const faults = [...further, ...this.#missing(), ...(ignoreExtra ? [] : extra.map(({ fault }) => fault))];
    if (faults.length > 0) {
      const shown = faults.slice(0, maxShown);
      const more = faults.length > maxShown ? `;\n  and ${faults.length - maxShown} more faults` : '';
      const list = shown.map((fault) => `\n  ${fault}`).join(';') + more;
      const advice =
        ignoreExtra || extra.length === 0 ? '' : '\n  --ignore-extra ignores tensors that the network does not use';
      throw new FusionError(
        Status.FAILED_PRECONDITION,
        `${network}: ${this.#paths.join(', ')} does not fit the network's architecture:${list}${advice}`,
        { reason: 'CHECKPOINT_MISMATCH', field: 'checkpoint' },
      );
    }
    const count = extra.reduce((sum, { names }) => sum + names.length, 0);
    return count === 0
      ? undefined
      : `left out, since the network has none such: ${extra.map(({ what }) => what).join(', ')} (${count} tensors)`;
  }

  #missing(): string[] {
    const faults = [...this.#faults];
    const hasNone = [...this.#asked].every((name) => !this.#tensors.has(name));
    if (faults.length <= maxListed || !hasNone) {
      return faults;
    }
    const found = [...this.#tensors.keys()].slice(0, 3);
    const instead =
      found.length === 0 ? 'the checkpoint has no tensors' : `the checkpoint has names such as ${found.join(', ')}`;
    return [`\`${[...this.#asked][0]}\` and the other ${faults.length - 1} tensors are missing; ${instead}`];
  }

  /** Unused tensors, grouped where the network has nothing under their first name. */
  #extra(others: readonly string[]): { names: string[]; what: string; fault: string }[] {
    const names = [...this.#tensors.keys()].filter(
      (name) => !this.#asked.has(name) && !others.some((prefix) => name.startsWith(prefix)),
    );
    const known = new Set([...this.#asked].map(firstName));
    const groups = new Map<string, string[]>();
    for (const name of names) {
      const key = known.has(firstName(name)) ? name : firstName(name);
      const group = groups.get(key) ?? [];
      group.push(name);
      groups.set(key, group);
    }
    return [...groups].flatMap(([key, members]) =>
      members.length > maxListed
        ? [{ names: members, what: `${key}.…`, fault: `\`${key}.…\` must be absent (got ${members.length} tensors)` }]
        : members.map((name) => ({
            names: [name],
            what: name,
            fault: `\`${name}\` must be absent (got [${this.#tensors.get(name)!.shape}])`,
          })),
    );
  }
}

export interface VerifyOptions {
  /** Other faults to list along with those of the tensors. */
  further?: readonly string[];
  /** Whether unused tensors are ignored. */
  ignoreExtra?: boolean;
}

/** Faults that are listed in all. */
const maxShown = 50;

/** More faults than this with one cause are merged into one line. */
const maxListed = 8;

const firstName = (name: string) => name.split('.', 1)[0]!;

/** Whether the shapes are equal apart from leading axes of size 1, which published null embeddings may or may not have. */
function fits(found: readonly number[], expected: readonly number[]): boolean {
  const extra = found.length - expected.length;
  return (
    extra >= 0 && found.slice(0, extra).every((size) => size === 1) && found.slice(extra).join() === expected.join()
  );
}
