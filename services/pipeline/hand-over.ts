import { record } from '../kit/telemetry/metrics.ts';
import type { StageName } from './stages.ts';
import type { Tensor } from './tensor.ts';

/** Measures a tensor that a stage hands over, and gives it back. */
export function handOver<T extends Tensor>(stage: StageName, tensor: T): T {
  record('fusionframes.handoff.size', tensor.data.byteLength, { 'fusionframes.stage': stage });
  return tensor;
}
