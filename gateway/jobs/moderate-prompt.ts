import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import type { ModeratedPrompt, Moderation, Verdict } from '../moderation/moderation.ts';
import type { Job } from './job.ts';
import type { PreparedPicture } from './request-pictures.ts';

/**
 * What the moderation service is told about a job.
 *
 * @param model with its version
 */
export function moderatedPrompt({ keyId, settings }: Pick<Job, 'keyId' | 'settings'>, model: string): ModeratedPrompt {
  return { keyId, model, prompt: settings.prompt, negativePrompt: settings.negativePrompt };
}

/** Asks about the prompts of one request's jobs. Equal ones with the same picture are asked about once. */
export class PromptChecks {
  readonly #moderation: Moderation;
  readonly #signal: AbortSignal;
  readonly #verdicts = new Map<PreparedPicture | undefined, Map<string, Promise<Verdict>>>();

  /** @param signal ends the calls and the wait for them */
  constructor(moderation: Moderation, signal: AbortSignal) {
    this.#moderation = moderation;
    this.#signal = signal;
  }

  /**
   * Asks about a prompt and the picture, if there is one; returns warnings for the job. Throws INVALID_ARGUMENT if it is
   * refused, UNAVAILABLE if the service failed and failures refuse, and RESOURCE_EXHAUSTED if too many others wait.
   */
  async requireAllowed(prompt: ModeratedPrompt, picture: PreparedPicture | undefined): Promise<string[]> {
    const answer = await this.#ask(prompt, picture);
    if (answer.verdict === 'refuse') {
      const what = picture ? '`prompt` or the picture' : '`prompt`';
      throw new FusionError(Status.INVALID_ARGUMENT, `Moderation refused the ${what}: ${answer.reason}`, {
        reason: 'PROMPT_REFUSED',
        field: 'prompt',
      });
    }
    return answer.verdict === 'skipped' ? [`The prompt was not moderated: ${answer.reason}`] : [];
  }

  #ask(prompt: ModeratedPrompt, picture: PreparedPicture | undefined): Promise<Verdict> {
    const ofPicture = this.#verdicts.get(picture) ?? new Map<string, Promise<Verdict>>();
    this.#verdicts.set(picture, ofPicture);
    const key = JSON.stringify(prompt);
    const verdict = ofPicture.get(key) ?? this.#askFirst(prompt, picture);
    ofPicture.set(key, verdict);
    return verdict;
  }

  async #askFirst(prompt: ModeratedPrompt, picture: PreparedPicture | undefined): Promise<Verdict> {
    return this.#moderation.askAboutPrompt({ ...prompt, picture: await picture?.load() }, this.#signal);
  }
}
