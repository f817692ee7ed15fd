import { JobState } from '../../proto/gen/fusionframes/v1/video.ts';

/** Job states by name, with their numbers in the contract. */
export const wireJobStates = {
  queued: JobState.JOB_STATE_QUEUED,
  running: JobState.JOB_STATE_RUNNING,
  succeeded: JobState.JOB_STATE_SUCCEEDED,
  failed: JobState.JOB_STATE_FAILED,
  cancelled: JobState.JOB_STATE_CANCELLED,
} as const satisfies Record<string, JobState>;

export type JobStateName = keyof typeof wireJobStates;

export const jobStateNames = Object.keys(wireJobStates) as JobStateName[] as [JobStateName, ...JobStateName[]];

/** Whether this is a final state. */
export function isFinalState(state: string): boolean {
  return state === 'succeeded' || state === 'failed' || state === 'cancelled';
}
