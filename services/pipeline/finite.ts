import { Status } from 'nice-grpc-common';
import { FusionError } from '../kit/errors.ts';
import { add } from '../kit/telemetry/metrics.ts';
import type { StageName } from './stages.ts';

/** Whether every element is finite. */
export function isFiniteThroughout(values: Float32Array): boolean {
  // A sum of finite float32 values stays finite in double precision; a NaN or infinity makes it non-finite.
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    sum += values[i]!;
  }
  return Number.isFinite(sum);
}

/** Counts an output of a stage's network that holds a NaN or an infinity. */
export function countNotFinite(stage: StageName): void {
  add('fusionframes.predictions.not_finite', 1, { 'fusionframes.stage': stage });
}

/**
 * Counts a network output with a NaN or an infinity and returns the INTERNAL error for it. The same request would fail
 * again, so callers must not retry.
 *
 * @param place where, such as `frame 3 of 57`
 */
export function notFinite(stage: StageName, place: string): FusionError {
  countNotFinite(stage);
  return new FusionError(Status.INTERNAL, `${stage}, ${place}: the network's output is not finite`, {
    reason: 'PREDICTION_NOT_FINITE',
  });
}
