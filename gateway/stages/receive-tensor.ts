import type { CheckpointPiece, Progress, TensorChunk } from '../../proto/gen/fusionframes/v1/tensor.ts';
import {
  type Checkpoint,
  CheckpointAssembler,
  maxCheckpointArrays,
} from '../../services/pipeline/checkpoint-pieces.ts';
import { byteSize, type DataType, type Tensor } from '../../services/pipeline/tensor.ts';
import { TensorAssembler } from '../../services/pipeline/tensor-chunks.ts';
import type { OnProgress } from './on-progress.ts';
import { type AnyStage, invalidResponse } from './stage-call.ts';

/** Reassembles a stage's tensors and rejects any with an unexpected shape. */
export class TensorReceiver<T extends DataType> {
  readonly #stage: AnyStage;
  readonly #dataType: T;
  readonly #shape: readonly number[];
  #assembler: TensorAssembler<T> | undefined;

  constructor(stage: AnyStage, dataType: T, shape: readonly number[]) {
    this.#stage = stage;
    this.#dataType = dataType;
    this.#shape = shape;
  }

  /** Adds a chunk; returns the tensor with its last chunk. A header starts a new tensor. */
  add(chunk: TensorChunk): Tensor<T> | undefined {
    if (chunk.header) {
      this.#assembler = this.#begin(chunk.header.shape.map(Number));
    }
    if (!this.#assembler) {
      throw invalidResponse(this.#stage, 'a piece of a tensor without its header');
    }
    try {
      return this.#assembler.add(chunk) ? this.#assembler.finish() : undefined;
    } catch (error) {
      throw invalidResponse(this.#stage, (error as Error).message);
    }
  }

  #begin(given: number[]): TensorAssembler<T> {
    if (given.join() !== this.#shape.join()) {
      throw invalidResponse(
        this.#stage,
        `a tensor that must have shape [${this.#shape}] (got [${given}]); does it serve another preset?`,
      );
    }
    return new TensorAssembler({
      field: 'tensor',
      dataType: this.#dataType,
      rank: this.#shape.length,
      maxBytes: byteSize(this.#dataType, this.#shape),
    });
  }
}

/** What the two diffusion stages stream: progress after each step, perhaps a preview and checkpoints, then the latents. */
interface DenoisingResponse {
  event?:
    | { $case: 'progress'; value: Progress }
    | { $case: 'latents'; value: TensorChunk }
    | { $case: 'preview'; value: TensorChunk }
    | { $case: 'checkpoint'; value: CheckpointPiece }
    | undefined;
}

/** Callbacks for the progress of a diffusion stage. */
export interface DenoisingListener {
  onProgress: OnProgress;
  /** An estimate of the finished latents, of the same shape. */
  onPreview?(estimate: Tensor<'float32'>): void;
  onCheckpoint?(checkpoint: Checkpoint): void;
}

/**
 * Reads a diffusion stage's stream to its latents, float32 of `shape`.
 *
 * @param sampled how many latents of this shape the stage samples to make them, which its checkpoints hold
 */
export async function receiveLatents(
  stage: AnyStage,
  responses: AsyncIterable<DenoisingResponse>,
  shape: readonly number[],
  { onProgress, onPreview, onCheckpoint }: DenoisingListener,
  sampled = 1,
): Promise<Tensor<'float32'>> {
  const receiver = new TensorReceiver(stage, 'float32', shape);
  const previewReceiver = new TensorReceiver(stage, 'float32', shape);
  const checkpoints = new CheckpointAssembler(maxCheckpointArrays * sampled * byteSize('float32', shape));
  let latents: Tensor<'float32'> | undefined;
  for await (const { event } of responses) {
    if (event?.$case === 'latents') {
      latents = receiver.add(event.value);
    } else if (event?.$case === 'preview') {
      const estimate = previewReceiver.add(event.value);
      if (estimate) {
        onPreview?.(estimate);
      }
    } else if (event?.$case === 'checkpoint') {
      const checkpoint = addPiece(stage, checkpoints, event.value);
      if (checkpoint) {
        onCheckpoint?.(checkpoint);
      }
    } else if (event) {
      await onProgress(event.value.step, event.value.total);
    }
  }
  if (!latents) {
    throw invalidResponse(stage, `without complete latents, which must be float32 [${shape}]`);
  }
  return latents;
}

function addPiece(stage: AnyStage, checkpoints: CheckpointAssembler, piece: CheckpointPiece): Checkpoint | undefined {
  try {
    return checkpoints.add(piece);
  } catch (error) {
    throw invalidResponse(stage, (error as Error).message);
  }
}
