import type { Models } from '../models/models.ts';
import type { Moderation } from '../moderation/moderation.ts';
import type { VideoProvenance } from '../provenance/open-provenance.ts';
import type { JobPicture, NewJob } from './job.ts';

/**
 * The highest job level that this release supports. A new feature that changes videos gets the next level; only jobs that use it
 * are stored with that level, so that gateways of the previous release leave them alone during a rolling upgrade.
 *
 * - 0: one model; videos are neither moderated, labelled nor signed
 * - 1: models and versions, moderation of frames, labels and signatures, webhook events
 * - 2: pictures
 */
export const knownLevel = 2;

/** The level that a gateway must know to make this video. */
export function requiredLevel(
  {
    model,
    version,
    picture,
    webhook,
  }: Pick<NewJob, 'model' | 'version' | 'webhook'> & { picture: JobPicture | undefined },
  { models, moderation, watermark, signer }: VideoProvenance & { models: Models; moderation: Moderation | undefined },
): number {
  if (picture) {
    return 2;
  }
  const isOfDefault = version === '' && model === models.default.preset.name;
  const isTreated = moderation?.checksFrames || watermark !== undefined || signer !== undefined;
  return isOfDefault && !isTreated && !webhook?.events ? 0 : 1;
}
