import { FusionError } from '../services/kit/errors.ts';

/** A failed video. Its `reason` names the fault as the gateway does, see docs/video-faults.md. */
export class VideoFailure extends FusionError {}
