import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import type { CallerLimits } from './caller.ts';

/** The parts of a request that a key may cap. */
export interface CappedRequest {
  keyframeSteps: number;
  /** Steps per interpolation pass. */
  interpolationSteps: number;
  /** Frames of the finished video. */
  frames: number;
  priority: number;
}

/** Throws PERMISSION_DENIED naming the field that exceeds the caller's key. */
export function requireWithinCaps(asked: CappedRequest, { maxSteps, maxFrames, maxPriority }: CallerLimits): void {
  requireAtMost('keyframes.steps', asked.keyframeSteps, maxSteps);
  requireAtMost('interpolation.steps', asked.interpolationSteps, maxSteps);
  requireAtMost('frame_rate', asked.frames, maxFrames, ' frames');
  requireAtMost('priority', asked.priority, maxPriority);
}

function requireAtMost(field: string, asked: number, cap: number | undefined, unit = ''): void {
  if (cap !== undefined && asked > cap) {
    throw new FusionError(
      Status.PERMISSION_DENIED,
      `\`${field}\` must be at most ${cap}${unit} for this API key (got ${asked})`,
      { reason: 'KEY_LIMIT', field },
    );
  }
}
