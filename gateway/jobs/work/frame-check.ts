import { Status } from 'nice-grpc-common';
import { FusionError } from '../../../services/kit/errors.ts';
import type { FrameSamples } from '../../media/frame-samples.ts';
import type { FrameFormat, FrameSink } from '../../media/frame-sink.ts';
import type { ModeratedPrompt, Moderation, Verdict } from '../../moderation/moderation.ts';
import type { JobLedger } from '../store/job-ledger.ts';

export interface FrameCheckOptions {
  /** Absent: every video passes. */
  moderation: Moderation | undefined;
  ledger: JobLedger;
  /** Verdict that an earlier attempt recorded. */
  recorded: Verdict | undefined;
  /** Id of the job. */
  video: string;
  prompt: ModeratedPrompt;
  signal: AbortSignal;
}

/**
 * Moderation of one job's frames. The verdict is recorded before it takes effect, so that an interrupted job is not
 * judged a second time.
 */
export class FrameCheck {
  readonly #options: FrameCheckOptions;
  readonly #moderation: Moderation | undefined;
  #samples: FrameSamples | undefined;

  constructor(options: FrameCheckOptions) {
    this.#options = options;
    this.#moderation = options.moderation?.checksFrames ? options.moderation : undefined;
  }

  /** Whether pictures may be shown before the whole video has passed. */
  get allowsEarlyPictures(): boolean {
    return this.#moderation === undefined;
  }

  /** Sinks that collect the frames to send. */
  openers(format: FrameFormat): (() => Promise<FrameSink>)[] {
    const moderation = this.#moderation;
    if (!moderation || this.#options.recorded) {
      return [];
    }
    const { count, format: as } = moderation.sampling;
    return [
      async () => {
        const { FrameSamples } = await import('../../media/frame-samples.ts');
        this.#samples = new FrameSamples(format, count, as);
        return this.#samples;
      },
    ];
  }

  /** Throws FAILED_PRECONDITION if the video was refused in an earlier attempt. */
  requireNotRefused(): void {
    const { recorded } = this.#options;
    if (recorded?.verdict === 'refuse') {
      throw refused(recorded.reason);
    }
  }

  /**
   * Call when every frame has been written. Throws FAILED_PRECONDITION if the video is refused, and UNAVAILABLE if the
   * service failed and failures refuse.
   */
  async pass(): Promise<void> {
    const { ledger, video, prompt, signal } = this.#options;
    const samples = this.#samples;
    if (!this.#moderation || !samples) {
      return;
    }
    const question = { ...prompt, video, frameCount: samples.format.frames, frames: samples.samples };
    const verdict = await this.#moderation.askAboutVideo(question, signal);
    const skipped = verdict.verdict === 'skipped' ? [`The frames were not moderated: ${verdict.reason}`] : [];
    await ledger.recordVerdict(verdict, { warnings: [...ledger.status.warnings, ...skipped] });
    if (verdict.verdict === 'refuse') {
      throw refused(verdict.reason);
    }
  }
}

function refused(reason: string): FusionError {
  return new FusionError(Status.FAILED_PRECONDITION, `Moderation refused the video: ${reason}`, {
    reason: 'VIDEO_REFUSED',
  });
}
