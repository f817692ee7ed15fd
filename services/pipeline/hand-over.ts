import { record } from '../kit/telemetry/metrics.ts';
import type { StageName } from './stages.ts';
import type { Tensor } from './tensor.ts';

/** Records the size of a tensor passed between stages, and returns the tensor. */
export function handOver<T extends Tensor>(stage: StageName, tensor: T): T {
  record('fusionframes.handoff.size', tensor.data.byteLength, { 'fusionframes.stage': stage });
  return tensor;
}
