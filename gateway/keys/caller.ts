import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';

/** Scopes of a key: read its own jobs, create and change them, or both for the jobs of all keys. */
export const scopes = ['read', 'create', 'admin'] as const;
export type Scope = (typeof scopes)[number];

/** Limits of a key. 0 in the first three, or absence of any other, means no limit. */
export interface CallerLimits {
  /** Running jobs. */
  concurrentJobs: number;
  /** Queued jobs. */
  queuedJobs: number;
  requestsPerMinute: number;
  /** Denoising steps per network of a job. */
  maxSteps?: number | undefined;
  /** Frames of one video. */
  maxFrames?: number | undefined;
  /** −100 to 100. */
  maxPriority?: number | undefined;
}

/** A caller sees the jobs of its own key; with the scope `admin`, the jobs of all keys. */
export interface Caller {
  /** Empty if anonymous. */
  keyId: string;
  scopes: readonly Scope[];
  limits: CallerLimits;
}

/** Any caller while no keys exist: only this machine can reach the gateway then. */
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
