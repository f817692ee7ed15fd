import { JobState } from '../../proto/gen/fusionframes/v1/video.ts';

/** The states of a job by their names, with the contract's numbers. */
export const wireJobStates = {
  queued: JobState.JOB_STATE_QUEUED,
  running: JobState.JOB_STATE_RUNNING,
  succeeded: JobState.JOB_STATE_SUCCEEDED,
  failed: JobState.JOB_STATE_FAILED,
  cancelled: JobState.JOB_STATE_CANCELLED,
} as const satisfies Record<string, JobState>;

export type JobStateName = keyof typeof wireJobStates;

/** Whether nothing will happen to a job in this state any more. */
export function isFinalState(state: string): boolean {
  return state === 'succeeded' || state === 'failed' || state === 'cancelled';
}
