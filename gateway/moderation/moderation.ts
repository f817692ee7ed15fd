import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import type { Logger } from '../../services/kit/log.ts';
import { record } from '../../services/kit/telemetry/metrics.ts';
import { describeSpan, inSpan } from '../../services/kit/telemetry/spans.ts';
import { timeLimit } from '../../services/kit/time-limit.ts';
import { Places } from '../database/places.ts';
import type { FrameSample } from '../media/frame-samples.ts';
import { type Answer, askModerator } from './ask-moderator.ts';
import type { ModerationOptions } from './moderation-settings.ts';

/** The service's answer, or why it was skipped: it failed, and failures allow. */
export type Verdict = Answer | { verdict: 'skipped'; reason: string };

/** What the service is told about a job besides its frames. */
export interface ModeratedPrompt {
  /** Id of the API key; empty if there are no keys. */
  keyId: string;
  /** Name of the preset, with the model's version if it has one. */
  model: string;
  prompt: string;
  negativePrompt: string;
  /** The picture that the video will begin with, PNG. */
  picture?: Uint8Array | undefined;
}

export interface ModeratedVideo extends ModeratedPrompt {
  /** Id of the job. */
  video: string;
  /** Number of frames of the whole video. */
  frameCount: number;
  frames: readonly FrameSample[];
}

type Check = 'prompt' | 'frames';

/**
 * A call's wait and answer together must stay below this, in seconds: clients and idle connections wait for 60.
 */
const maxSeconds = 55;

/** Asks an operator's service about prompts and finished frames. */
export class Moderation {
  readonly #options: ModerationOptions;
  readonly #log: Logger;
  readonly #places: Places;
  readonly #waitSeconds: number;

  /** @param waitSeconds how long a call waits for its turn, at most; the time limit of the service begins after that */
  constructor(options: ModerationOptions, log: Logger, waitSeconds = maxSeconds - options.moderationTimeoutSeconds) {
    this.#options = options;
    this.#log = log;
    this.#waitSeconds = waitSeconds;
    this.#places = new Places(options.moderationCalls);
  }

  get checksPrompts(): boolean {
    return this.#options.moderationChecks !== 'frames';
  }

  get checksFrames(): boolean {
    return this.#options.moderationChecks !== 'prompt';
  }

  /** How many frames of a video are sent, and as what. */
  get sampling(): { count: number; format: 'jpeg' | 'png' } {
    return { count: this.#options.moderationFrames, format: this.#options.moderationFrameFormat };
  }

  /** Throws UNAVAILABLE if the service failed and failures refuse, and RESOURCE_EXHAUSTED if too many others wait. */
  askAboutPrompt({ picture, ...prompt }: ModeratedPrompt, signal?: AbortSignal): Promise<Verdict> {
    const given = picture && { media_type: 'image/png', data: Buffer.from(picture).toString('base64') };
    return this.#ask('prompt', { ...describePrompt(prompt), ...(given && { picture: given }) }, signal);
  }

  /** Throws as {@link askAboutPrompt} does. */
  askAboutVideo({ video, frameCount, frames, ...prompt }: ModeratedVideo, signal: AbortSignal): Promise<Verdict> {
    const pictures = frames.map(({ index, mediaType, data }) => ({
      index,
      media_type: mediaType,
      data: Buffer.from(data).toString('base64'),
    }));
    return this.#ask('frames', { video, ...describePrompt(prompt), frame_count: frameCount, frames: pictures }, signal);
  }

  #ask(check: Check, question: object, signal?: AbortSignal): Promise<Verdict> {
    return inSpan('fusionframes.moderation', { 'fusionframes.moderation.check': check }, async () => {
      const leave = await this.#enter(signal);
      return this.#call(check, question, signal).finally(leave);
    });
  }

  /** Waits for a free call. A lack of those is not a failure of the service: it never lets anything pass unchecked. */
  #enter(signal: AbortSignal | undefined): Promise<() => void> {
    const message = 'Too many prompts and videos wait for moderation; try again later';
    return this.#places.enterWithin(this.#waitSeconds, message, signal);
  }

  async #call(check: Check, question: object, signal: AbortSignal | undefined): Promise<Verdict> {
    const { moderationUrl: url, moderationToken: token, moderationTimeoutSeconds: seconds } = this.#options;
    const started = performance.now();
    const limit = timeLimit(seconds * 1000, signal);
    try {
      const asked = { url, token, question: { version: 1, check, ...question }, signal: limit.signal };
      const answer = await askModerator(asked);
      note(check, answer.verdict, started);
      return answer;
    } catch (error) {
      signal?.throwIfAborted();
      note(check, 'failed', started);
      return this.#afterFailure(check, limit.isOver ? `gave no answer within ${seconds} s` : messageOf(error));
    } finally {
      limit.end();
    }
  }

  #afterFailure(check: Check, problem: string): Verdict {
    const { moderationOnFailure: policy } = this.#options;
    this.#log.warn({ check, problem, policy }, 'the moderation service failed');
    if (policy === 'allow') {
      return { verdict: 'skipped', reason: `the moderation service ${problem}` };
    }
    throw new FusionError(Status.UNAVAILABLE, `The moderation service ${problem}`, {
      reason: 'MODERATION_UNAVAILABLE',
    });
  }
}

/** The configured moderation, if any; logs once where prompts and frames are sent. */
export function openModeration(options: ModerationOptions, log: Logger): Moderation | undefined {
  if (options.moderationUrl === '') {
    return undefined;
  }
  const { origin } = new URL(options.moderationUrl);
  log.info(
    { notice: true, checks: options.moderationChecks, onFailure: options.moderationOnFailure },
    `prompts and frames are moderated by ${origin}`,
  );
  return new Moderation(options, log);
}

function describePrompt({ keyId, model, prompt, negativePrompt }: ModeratedPrompt) {
  return { key_id: keyId, model, prompt, negative_prompt: negativePrompt };
}

function note(check: Check, verdict: Answer['verdict'] | 'failed', started: number): void {
  const attributes = { 'fusionframes.moderation.check': check, 'fusionframes.moderation.verdict': verdict };
  describeSpan<'fusionframes.moderation'>(attributes);
  record('fusionframes.moderation.duration', (performance.now() - started) / 1000, attributes);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
