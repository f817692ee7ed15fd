import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';

/** What a key allows: reading its own jobs, creating and changing them, or both for the jobs of all keys. */
export const scopes = ['read', 'create', 'admin'] as const;
export type Scope = (typeof scopes)[number];

/** What a key may use. 0 in the first three, and any of the others absent: no limit. */
export interface CallerLimits {
  /** Jobs worked on at once. */
  concurrentJobs: number;
  /** Jobs that wait. */
  queuedJobs: number;
  requestsPerMinute: number;
  /** Denoising steps of a network in one job. */
  maxSteps?: number | undefined;
  /** Frames of one video. */
  maxFrames?: number | undefined;
  /** −100 to 100. */
  maxPriority?: number | undefined;
}

/** Who asks. A caller sees the jobs of its own key; one with the scope `admin` sees all. */
export interface Caller {
  /** Empty: anonymous. */
  keyId: string;
  scopes: readonly Scope[];
  limits: CallerLimits;
}

/** Any caller while there are no keys: then only this machine can reach the gateway. */
export const anonymous: Caller = {
  keyId: '',
  scopes,
  limits: { concurrentJobs: 0, queuedJobs: 0, requestsPerMinute: 0 },
};

/** Throws PERMISSION_DENIED; `admin` includes the others. */
export function requireScope(caller: Caller, scope: Scope): void {
  if (!caller.scopes.includes(scope) && !caller.scopes.includes('admin')) {
    throw new FusionError(
      Status.PERMISSION_DENIED,
      `This API key has the scopes ${caller.scopes.join(', ')}; needed: ${scope}`,
      { reason: 'MISSING_SCOPE' },
    );
  }
}
