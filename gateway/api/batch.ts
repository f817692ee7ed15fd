import { createHash } from 'node:crypto';
import { describe, FusionError, invalidField, inWords, renameField } from '../../services/kit/errors.ts';
import type { NewJob } from '../jobs/job.ts';
import { checkClientId } from './job-options.ts';

/** Most videos in a batch. */
export const maxBatch = 100;

export const batchSize = `1 to ${maxBatch} videos`;

/** Throws INVALID_ARGUMENT unless a batch has 1 to 100 videos. */
export function checkBatch<T>(videos: readonly T[]): readonly T[] {
  if (videos.length === 0 || videos.length > maxBatch) {
    throw invalidField('videos', inWords(`${videos.length} videos`), batchSize);
  }
  return videos;
}

/** Client ids of the videos of a batch, unlike any that a caller would choose. Throws INVALID_ARGUMENT for an invalid one. */
export function clientIdsOf(clientId: string, prefix = 'batch'): (index: number) => string {
  const digest = createHash('sha256').update(checkClientId('client_id', clientId)).digest('hex');
  return (index) => (clientId === '' ? '' : `${prefix}-${digest.slice(0, 32)}/${index}`);
}

/**
 * A video of several that share a client id. Their number is part of the request: with another number, none of them is the
 * same as before.
 */
export function oneOf(count: number, job: NewJob): NewJob {
  return count === 1 ? job : { ...job, fingerprint: `${job.fingerprint}/${count}` };
}

/**
 * A video of a batch.
 *
 * @param clientId of the batch
 */
export function ofBatch(job: NewJob, index: number, count: number, clientId: string): NewJob {
  // A request for one video has the client id itself.
  return { ...oneOf(count, job), otherClientId: index === 0 ? clientId : '' };
}

/**
 * An error about one video of a batch, with its place in the name of the field.
 *
 * @param clientId of the batch
 */
export function inBatch(thrown: unknown, index: number, clientId: string): unknown {
  if (!(thrown instanceof FusionError) || !thrown.field) {
    return thrown;
  }
  const { reason, code, field } = thrown;
  if (reason === 'CLIENT_ID_IN_USE' && clientId !== '') {
    const message =
      `\`client_id\` ${describe(clientId)} was already used by a different request: ` +
      `one without a batch, with another number of videos, or with another \`videos.${index}\``;
    return new FusionError(code, message, { reason, field, cause: thrown });
  }
  return renameField(thrown, `videos.${index}.${field}`);
}
