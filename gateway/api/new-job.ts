import { createHash } from 'node:crypto';
import { CreateVideoRequest } from '../../proto/gen/fusionframes/v1/video.ts';
import type { Preset } from '../../services/pipeline/preset.ts';
import { checkPriority } from '../../services/pipeline/priority.ts';
import type { NewJob } from '../jobs/job.ts';
import { videoWork } from '../jobs/video-work.ts';
import { checkClientId, resolveWebhook } from './job-options.ts';
import { resolveSettings } from './resolve-settings.ts';

export interface NewJobContext {
  preset: Preset;
  /** Warnings attached to every job. */
  warnings: readonly string[];
  /** Whether webhooks may call this machine and link-local addresses. */
  localWebhooks: boolean;
}

/**
 * Converts an HTTP or gRPC request to a job.
 * Throws INVALID_ARGUMENT naming the field, what was given and what is allowed.
 */
export function newJob(request: CreateVideoRequest, { preset, warnings, localWebhooks }: NewJobContext): NewJob {
  const settings = resolveSettings(request.settings, preset);
  return {
    settings,
    work: videoWork(settings, preset),
    clientId: checkClientId('client_id', request.clientId),
    fingerprint: fingerprint(request),
    warnings,
    priority: checkPriority(request.priority),
    webhook: resolveWebhook(request.webhook, localWebhooks),
    previews: request.previews,
  };
}

/** A hash of the request, equal for equal requests even if they leave the seed open. */
function fingerprint(request: CreateVideoRequest): string {
  const encoded = CreateVideoRequest.encode({ ...request, clientId: '' }).finish();
  return createHash('sha256').update(encoded).digest('hex');
}
