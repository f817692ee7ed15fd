import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';

/** What a key allows: to look at jobs, to make and change them, to do both with everybody's. */
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

/** Everybody, as long as there are no keys: a gateway that only this machine can reach. */
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
