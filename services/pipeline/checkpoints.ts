import { createHash } from 'node:crypto';
import type { CheckpointPiece } from '../../proto/gen/fusionframes/v1/tensor.ts';
import { invalidField } from '../kit/errors.ts';
import { type Checkpoint, toPieces } from './checkpoint-pieces.ts';
import { tensor } from './tensor.ts';

/** Part of every run's name; increased if a checkpoint would no longer lead to the same latents. */
const format = 1;

export interface CheckpointsOptions {
  /** Seconds of work between two checkpoints; 0: none. */
  seconds: number;
  /** Where the caller wants to continue. */
  given: Checkpoint | undefined;
  /** The request, as far as it determines the run. */
  inputs: readonly (string | Uint8Array)[];
  /** Identifies the model that is loaded; undefined if nothing does. */
  findModel(): Promise<string | undefined>;
  /** The same before the run begins. Default: as `findModel`. */
  findFirstModel?(): Promise<string | undefined>;
}

/** A step of a run, and its state as arrays of equal length. */
interface Step {
  step: number;
  total: number;
  toArrays(): readonly Float32Array[];
}

/** Makes checkpoints of one run, and decides whether a given one belongs to it. */
export class Checkpoints {
  /** Where to continue; undefined: from the start. */
  readonly from: { step: number; arrays: readonly Float32Array[] } | undefined;
  readonly #options: CheckpointsOptions;
  readonly #run: string | undefined;
  #lastAt = performance.now();

  private constructor(options: CheckpointsOptions, run: string | undefined) {
    const { given } = options;
    this.#options = options;
    this.#run = run;
    this.from = given && given.run === run ? { step: given.step, arrays: rows(given) } : undefined;
  }

  /** Throws the error of `findModel` if a checkpoint would be lost. */
  static async open(options: CheckpointsOptions): Promise<Checkpoints> {
    const { seconds, given, findFirstModel = options.findModel } = options;
    const first = { ...options, findModel: findFirstModel };
    if (given) {
      return new Checkpoints(options, await nameRun(first));
    }
    return new Checkpoints(options, seconds > 0 ? await nameIfKnown(first) : undefined);
  }

  /** The pieces of a checkpoint after this step, if one is due. */
  async *after({ step, total, toArrays }: Step): AsyncGenerator<CheckpointPiece> {
    const { seconds } = this.#options;
    const isDue = seconds > 0 && step < total && performance.now() - this.#lastAt >= seconds * 1000;
    // Compared again: the server may have loaded another model since.
    if (!isDue || this.#run === undefined || (await nameIfKnown(this.#options)) !== this.#run) {
      return;
    }
    const arrays = toArrays();
    const [{ length } = new Float32Array()] = arrays;
    const state = new Float32Array(arrays.length * length);
    arrays.forEach((array, index) => void state.set(array, index * length));
    yield* toPieces({ step, run: this.#run, state: tensor('float32', [arrays.length, length], state) });
    this.#lastAt = performance.now();
  }
}

function rows({ state }: Checkpoint): Float32Array[] {
  const [count = 0, length = 0] = state.shape;
  return Array.from({ length: count }, (_, row) => state.data.subarray(row * length, (row + 1) * length));
}

/** The run's name; undefined while the inference server does not answer. */
function nameIfKnown(options: CheckpointsOptions): Promise<string | undefined> {
  return nameRun(options).catch(() => undefined);
}

async function nameRun({ inputs, findModel }: CheckpointsOptions): Promise<string | undefined> {
  const model = await findModel();
  if (model === undefined) {
    return undefined;
  }
  const hash = createHash('sha256');
  for (const part of [`${format} ${model}`, ...inputs]) {
    hash.update(`${part.length} `).update(part);
  }
  return hash.digest('hex');
}

/** Throws INVALID_ARGUMENT unless it is a time. */
export function checkCheckpointSeconds(seconds: number, field = 'checkpoint_seconds'): number {
  if (!(seconds >= 0 && Number.isFinite(seconds))) {
    throw invalidField(field, seconds, 'a number of seconds, at least 0');
  }
  return seconds;
}
