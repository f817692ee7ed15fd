import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import type { ModeratedPrompt, Moderation } from '../moderation/moderation.ts';
import type { Job } from './job.ts';

/**
 * What the moderation service is told about a job.
 *
 * @param model with its version
 */
export function moderatedPrompt({ keyId, settings }: Pick<Job, 'keyId' | 'settings'>, model: string): ModeratedPrompt {
  return { keyId, model, prompt: settings.prompt, negativePrompt: settings.negativePrompt };
}

/**
 * Asks about a prompt and the picture, if there is one; returns warnings for the job. Throws INVALID_ARGUMENT if it is refused, and UNAVAILABLE if the
 * service failed and failures refuse.
 */
export async function requireAllowed(prompt: ModeratedPrompt, moderation: Moderation): Promise<string[]> {
  const answer = await moderation.askAboutPrompt(prompt);
  if (answer.verdict === 'refuse') {
    const what = prompt.picture ? '`prompt` or the picture' : '`prompt`';
    throw new FusionError(Status.INVALID_ARGUMENT, `Moderation refused the ${what}: ${answer.reason}`, {
      reason: 'PROMPT_REFUSED',
      field: 'prompt',
    });
  }
  return answer.verdict === 'skipped' ? [`The prompt was not moderated: ${answer.reason}`] : [];
}
