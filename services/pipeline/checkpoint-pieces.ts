import type { CheckpointPiece } from '../../proto/gen/fusionframes/v1/tensor.ts';
import { invalidField, inWords } from '../kit/errors.ts';
import type { Tensor } from './tensor.ts';
import { TensorAssembler, toChunks } from './tensor-chunks.ts';

/** State from which a diffusion stage continues a run after one of its steps. */
export interface Checkpoint {
  /** Number of steps done, from 1. */
  step: number;
  /** See `CheckpointHeader.run` in the contract. */
  run: string;
  /** float32 [arrays, elements]: the latents, then the sampler's history. */
  state: Tensor<'float32'>;
}

/** No stage needs more: UniPC stores the latents, those it corrected and two estimates; the keyframes add their first frame. */
export const maxCheckpointArrays = 5;

/** Splits a checkpoint into messages, with the header on the first. */
export function* toPieces({ step, run, state }: Checkpoint): Generator<CheckpointPiece> {
  let header: CheckpointPiece['header'] = { step, run };
  for (const chunk of toChunks(state)) {
    yield { header, state: chunk };
    header = undefined;
  }
}

/** Reassembles checkpoints from their pieces; throws INVALID_ARGUMENT for pieces that do not fit. A header starts a new one. */
export class CheckpointAssembler {
  readonly #maxBytes: number;
  #header: CheckpointPiece['header'];
  #state: TensorAssembler<'float32'> | undefined;
  #last: Checkpoint | undefined;

  /** @param maxBytes of a checkpoint's state */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Adds the next piece; returns the checkpoint with its last one. */
  add({ header, state }: CheckpointPiece): Checkpoint | undefined {
    if (header) {
      this.#header = header;
      this.#last = undefined;
      const maxBytes = this.#maxBytes;
      this.#state = new TensorAssembler({ field: 'checkpoint', dataType: 'float32', rank: 2, maxBytes });
    }
    if (!this.#header || !this.#state || !state) {
      throw invalidField('checkpoint', state ? 'a piece without a header' : 'a piece without a state', 'whole pieces');
    }
    if (this.#state.add(state)) {
      this.#last = { ...this.#header, state: this.#state.finish() };
      return this.#last;
    }
    return undefined;
  }

  /** The last checkpoint; undefined without any pieces. Throws INVALID_ARGUMENT if some are missing. */
  finish(): Checkpoint | undefined {
    if (this.#header && !this.#last) {
      throw invalidField('checkpoint', inWords('a part of one'), 'all its pieces');
    }
    return this.#last;
  }
}
