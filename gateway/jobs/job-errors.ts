import { Status } from 'nice-grpc-common';
import { FusionError, shown } from '../../services/kit/errors.ts';
import type { Job } from './job.ts';

export function noSuchJob(id: string): FusionError {
  return new FusionError(Status.NOT_FOUND, `Job "${shown(id)}" not found`, {
    reason: 'NO_SUCH_JOB',
    field: 'id',
  });
}

export function outcomeUnknown(id: string, cause: FusionError): FusionError {
  return new FusionError(
    Status.UNAVAILABLE,
    `The job may have been created as ${id}: the database did not confirm it in time; look for this id before you create it again`,
    { reason: 'OUTCOME_UNKNOWN', cause },
  );
}

export function wrongState({ id, state }: Pick<Job, 'id' | 'state'>, allowed: string): FusionError {
  return new FusionError(Status.FAILED_PRECONDITION, `job ${id} must be ${allowed} (it is ${state})`, {
    reason: 'WRONG_STATE',
    field: 'id',
  });
}

export function noFile({ id, state }: Job, name: string): FusionError {
  if (name === 'input_reference') {
    return noSuchFile(`job ${id} has no ${name}: it was created without a picture`);
  }
  return state === 'succeeded'
    ? noSuchFile(`job ${id} has no ${name}; create it with previews`)
    : noSuchFile(`job ${id} has no ${name}: it is ${state}, not succeeded`);
}

export function noSuchFile(why: string): FusionError {
  return new FusionError(Status.FAILED_PRECONDITION, why, { reason: 'NO_SUCH_FILE_YET', field: 'file' });
}
