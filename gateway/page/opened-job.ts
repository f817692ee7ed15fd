import { announce } from './announce.ts';
import { ApiError, inPlainWords } from './api/api-error.ts';
import { retryWhileUnavailable } from './api/retry-while-unavailable.ts';
import { getVideo } from './api/videos.ts';
import { watchVideo } from './api/watch-video.ts';
import { byId, fromTemplate, part, setText } from './dom.ts';
import { type JobActions, wireActions } from './job/job-actions.ts';
import { JobView } from './job/job-view.ts';
import { Ruler } from './job/ruler.ts';
import { frameCounts, stageName, stageSummary } from './pipeline.ts';
import { isFinished, presetOf } from './video-facts.ts';
import type { Preset, Presets, Stage, Video } from './wire.ts';

export interface OpenedJobOptions {
  presets: Presets;
  actions: JobActions;
  /** Called after every change of the open job. */
  changed: (video: Video) => void;
}

/** The job that the page's address names. Its events are watched while the page is visible. */
export class OpenedJob {
  readonly #place = byId('work');
  readonly #options: OpenedJobOptions;
  #view: JobView | undefined;
  #showActions: ((video: Video) => void) | undefined;
  #video: Video | undefined;
  /** Aborts when another job is opened. */
  #opening = new AbortController();
  /** Aborts also while the page is hidden. */
  #watching = new AbortController();

  constructor(options: OpenedJobOptions) {
    this.#options = options;
    // A browser opens six connections to a host: those of hidden tabs would starve the visible one.
    document.addEventListener('visibilitychange', () => {
      this.#watching.abort();
      if (!document.hidden && this.#video) {
        void this.#follow(this.#video.id);
      }
    });
  }

  get current(): Video | undefined {
    return this.#video;
  }

  /** Shows a job; `known` if the page has it already. */
  async open(id: string, known?: Video): Promise<void> {
    this.close();
    const { signal } = this.#opening;
    try {
      const onRefusal = (error: ApiError) => signal.aborted || this.#showText(inPlainWords(error));
      const video = known ?? (await retryWhileUnavailable(() => getVideo(id), { signal, onRefusal }));
      if (!signal.aborted) {
        this.update(video);
        await this.#follow(id);
      }
    } catch (error) {
      if (!signal.aborted) {
        this.#showMissing(error);
      }
    }
  }

  /** Shows a newer state of the job. */
  update(video: Video): void {
    this.#video = video;
    if (!this.#view) {
      this.#view = new JobView(video, presetOf(video, this.#options.presets));
      this.#showActions = wireActions(this.#view.element, this.#options.actions, this.#options.presets);
      this.#place.replaceChildren(this.#view.element);
    } else {
      this.#view.update(video);
    }
    this.#showActions!(video);
    if (!isFinished(video)) {
      announce(video);
    }
    this.#options.changed(video);
  }

  close(): void {
    this.#opening.abort();
    this.#opening = new AbortController();
    this.#watching.abort();
    this.#view?.close();
    this.#view = undefined;
    this.#video = undefined;
    this.#place.replaceChildren();
  }

  /** Shows how a video is made, while no job is open. */
  showNothing(): void {
    this.close();
    const [preset] = this.#options.presets;
    const empty = fromTemplate<HTMLElement>('empty-template');
    const usual = preset.frame_rates.find(({ name }) => name === preset.default_frame_rate);
    const plan = usual?.stages ?? [];
    const ruler = new Ruler(frameCounts(plan, preset.keyframes.frames));
    part(empty, 'pipeline').append(
      ...[...new Set(plan.map(({ stage }) => stage))].map((stage) => describe(stage, preset)),
    );
    part(empty, 'ruler').append(ruler.element);
    this.#place.replaceChildren(empty);
  }

  async #follow(id: string): Promise<void> {
    if (document.hidden || !this.#video || isFinished(this.#video)) {
      return;
    }
    this.#watching.abort();
    this.#watching = new AbortController();
    const { signal } = this.#watching;
    try {
      for await (const video of watchVideo(id, signal)) {
        if (signal.aborted) {
          return;
        }
        this.update(video);
      }
      if (signal.aborted) {
        return;
      }
      if (!isFinished(this.#video)) {
        // A stream broke after its last event and before the page could show it.
        this.update(await retryWhileUnavailable(() => getVideo(id), { signal }));
      }
      announce(this.#video);
    } catch (error) {
      if (!signal.aborted) {
        this.#showMissing(error);
      }
    }
  }

  #showMissing(error: unknown): void {
    this.close();
    const gone = error instanceof ApiError && error.status === 404;
    this.#showText(gone ? 'This video does not exist; it may have been deleted.' : inPlainWords(error));
  }

  #showText(text: string): void {
    const line = document.createElement('p');
    line.className = 'missing';
    line.textContent = text;
    this.#place.replaceChildren(line);
  }
}

function describe(stage: Stage, preset: Preset): HTMLElement {
  const item = fromTemplate<HTMLElement>('pipeline-stage-template');
  setText(part(item, 'name'), stageName(stage));
  setText(part(item, 'summary'), stageSummary(stage, preset));
  return item;
}
