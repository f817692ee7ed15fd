import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import type { Checkpoint } from '../checkpoints/checkpoint.ts';
import { findLarge } from '../checkpoints/find-large.ts';
import { pieceLength } from '../checkpoints/tensor-bytes.ts';
import type { ParameterType } from '../checkpoints/weights.ts';

/**
 * The named tensors with a number that becomes infinite in the type `wanted`. Reads each once. Throws
 * FAILED_PRECONDITION naming each tensor with NaN or infinite values: one would spread over the whole video.
 */
export async function scanWeights(
  checkpoint: Checkpoint,
  names: Iterable<string>,
  wanted: ParameterType,
  signal?: AbortSignal,
): Promise<Set<string>> {
  const beyond = new Set<string>();
  const faults: string[] = [];
  const room = Buffer.allocUnsafeSlow(pieceLength);
  for (const name of names) {
    const stored = checkpoint.tensors.get(name)!;
    if ((await findLarge(stored, wanted, room, signal)) !== undefined) {
      beyond.add(name);
      const at = await findLarge(stored, 'F32', room, signal);
      if (at !== undefined) {
        faults.push(`${name}: element ${at} of [${stored.shape}] is NaN or infinite`);
      }
    }
  }
  if (faults.length > 0) {
    const list = faults.map((fault) => `\n  ${fault}`).join(';');
    throw new FusionError(Status.FAILED_PRECONDITION, `checkpoint: weights must be finite numbers:${list}`, {
      reason: 'CHECKPOINT_NOT_FINITE',
      field: 'checkpoint',
    });
  }
  return beyond;
}
