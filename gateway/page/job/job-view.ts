import { fetchFile } from '../api/files.ts';
import { retryWhileUnavailable } from '../api/retry-while-unavailable.ts';
import { fromTemplate, part, setText } from '../dom.ts';
import { fileName } from '../formats.ts';
import { frameCounts, keyframesOf, planOf, type StageView, stageViews } from '../pipeline.ts';
import { dimensions, hasFile, isFinished } from '../video-facts.ts';
import type { Preset, Video } from '../wire.ts';
import { factsOf, failureText, stateLine, stateName } from './describe.ts';
import { prefersReducedMotion } from './motion.ts';
import { type FrameGrid, fetchGrid } from './pictures.ts';
import { Player } from './player.ts';
import { Ruler } from './ruler.ts';
import { Screen } from './screen.ts';
import { StageList } from './stages.ts';
import { Storyboard } from './storyboard.ts';

/** Up to this width, frames are rendered with visible pixels, which look better than smoothed ones. */
const widestPixelated = 128;

/** One open job: its stages, its pictures as they appear, then its player. */
export class JobView {
  readonly element = fromTemplate<HTMLElement>('job-template');
  readonly #closing = new AbortController();
  readonly #preset: Preset;
  readonly #keyframes: number;
  /** Frames from one keyframe to the next. */
  readonly #stride: number;
  readonly #framesPerSecond: number;
  readonly #stages: StageList;
  readonly #ruler: Ruler;
  readonly #storyboard: Storyboard;
  readonly #screen: Screen;
  #player: Player | undefined;
  /** Whether the video itself is on the screen. */
  #showsVideo = false;
  /** Files that were requested already. */
  readonly #fetched = new Set<string>();
  #grid: 'preview' | 'storyboard' | undefined;

  constructor(video: Video, preset: Preset) {
    this.#preset = preset;
    const plan = planOf(video, preset);
    const keyframes = keyframesOf(video, preset);
    this.#keyframes = keyframes;
    this.#stride = (video.frames - 1) / (keyframes - 1);
    this.#framesPerSecond = video.frames / Number(video.seconds);
    const [width, height] = dimensions(video);
    const { element } = this;
    element.style.setProperty('--frame-width', `${width}px`);
    element.style.setProperty('--frame-ratio', `${width} / ${height}`);
    element.classList.toggle('pixelated', width <= widestPixelated);
    setText(part(element, 'prompt'), video.prompt);
    this.#stages = new StageList(part(element, 'stages'), stageViews(video, plan));
    this.#ruler = new Ruler(frameCounts(plan, keyframes));
    part(element, 'ruler').append(this.#ruler.element);
    this.#storyboard = new Storyboard(part(element, 'storyboard'), keyframes, [width, height], (index) => {
      if (this.#player) {
        this.#player.seek(index * this.#stride);
      } else if (!this.#showsVideo) {
        this.#screen.hold(index);
      }
    });
    this.#screen = new Screen(part(element, 'canvas'), part(element, 'caption'), [width, height], (keyframe) =>
      this.#storyboard.mark(keyframe),
    );
    this.update(video);
  }

  update(video: Video): void {
    const { element } = this;
    const views = stageViews(video, planOf(video, this.#preset));
    element.dataset.state = stateName(video);
    setText(part(element, 'state'), stateLine(video, views));
    setText(part(element, 'facts'), factsOf(video).join(' · '));
    this.#updateNotes(video);
    this.#stages.update(views);
    this.#updateRuler(views);
    this.#updateGrain(video, views);
    if (isFinished(video) && video.status !== 'completed' && !this.#grid) {
      this.#screen.showGrain(0, 0.3, 'No image available');
    }
    void this.#updatePictures(video).catch(() => {});
  }

  close(): void {
    this.#closing.abort();
    this.#screen.stop();
    this.#player?.close();
    this.element.remove();
  }

  #updateNotes(video: Video): void {
    const texts = [...(stateName(video) === 'failed' ? [failureText(video)] : []), ...video.warnings];
    const notes = part<HTMLElement>(this.element, 'notes');
    if (notes.dataset.shown !== texts.join('\n')) {
      notes.dataset.shown = texts.join('\n');
      notes.replaceChildren(
        ...texts.map((text) => {
          const line = document.createElement('p');
          line.textContent = text;
          return line;
        }),
      );
    }
  }

  #updateRuler(views: readonly StageView[]): void {
    const level = ({ state, step, total }: StageView) => (state === 'done' ? 1 : total > 0 ? step / total : 0);
    const levels = (stage: StageView['stage']) => views.filter((view) => view.stage === stage).map(level);
    this.#ruler.show({
      keyframes: levels('keyframes')[0]!,
      passes: levels('interpolation'),
      decoded: levels('decoder')[0]!,
    });
  }

  #updateGrain(video: Video, views: readonly StageView[]): void {
    if (this.#grid === 'storyboard' || isFinished(video)) {
      return;
    }
    const { step, total, state } = views.find(({ stage }) => stage === 'keyframes')!;
    const left = state === 'done' ? 0 : total > 0 ? 1 - step / total : 1;
    this.#storyboard.showGrain(step, left);
    if (this.#grid) {
      return;
    }
    this.#screen.showGrain(step, left, state === 'waiting' ? 'Noise' : `Denoising, step ${step} of ${total}`);
  }

  /** Fetches new files: the video before the storyboard before the preview. */
  async #updatePictures(video: Video): Promise<void> {
    if (hasFile(video, 'video') && video.status === 'completed') {
      await Promise.all([this.#once('video', () => this.#showVideo(video)), this.#showStoryboard(video)]);
    } else {
      await this.#showStoryboard(video);
    }
  }

  async #showStoryboard(video: Video): Promise<void> {
    const variant = hasFile(video, 'storyboard') ? 'storyboard' : hasFile(video, 'preview') ? 'preview' : undefined;
    if (!variant) {
      return;
    }
    await this.#once(variant, async () => {
      const grid = await fetchGrid(video, variant, this.#keyframes, this.#closing.signal);
      if (!this.#closing.signal.aborted && this.#grid !== 'storyboard') {
        this.#showGrid(grid, variant);
      }
    });
  }

  #showGrid(grid: FrameGrid, variant: 'storyboard' | 'preview'): void {
    this.#grid = variant;
    this.#storyboard.showGrid(grid, variant);
    if (!this.#showsVideo) {
      const caption = variant === 'preview' ? 'Early preview of the keyframes' : 'The keyframes';
      this.#screen.playGrid(grid, caption, previewRate(this.#preset));
    }
  }

  async #showVideo(video: Video): Promise<void> {
    const file = await fetchFile(video.id, 'video', this.#closing.signal);
    const address = URL.createObjectURL(file);
    const download = part<HTMLAnchorElement>(this.element, 'download');
    download.href = address;
    download.download = fileName(video.prompt, video.seed, video.format);
    const screen = part<HTMLElement>(this.element, 'screen');
    if (video.format === 'webp' && prefersReducedMotion()) {
      // A page cannot pause it, so the still keyframes stay; the download is animated.
      return;
    }
    this.#showsVideo = true;
    this.#screen.stop();
    setText(part(this.element, 'caption'), '');
    if (video.format === 'webp') {
      const image = document.createElement('img');
      image.src = address;
      image.alt = video.prompt;
      screen.append(image);
      return;
    }
    part<HTMLElement>(this.element, 'transport').hidden = false;
    part<HTMLElement>(this.element, 'keys-hint').hidden = false;
    this.#player = new Player({
      root: this.element,
      screen,
      ruler: this.#ruler,
      rulerPlace: part(this.element, 'ruler'),
      address,
      label: video.prompt,
      framesPerSecond: this.#framesPerSecond,
      show: (frame) => this.#storyboard.mark(Math.floor(frame / this.#stride)),
    });
  }

  /** Runs something once, retrying while the gateway is unavailable; a later call runs it again if it failed. */
  async #once(name: string, run: () => Promise<void>): Promise<void> {
    if (this.#fetched.has(name)) {
      return;
    }
    this.#fetched.add(name);
    try {
      await retryWhileUnavailable(run, { signal: this.#closing.signal });
    } catch (error) {
      this.#fetched.delete(name);
      throw error;
    }
  }
}

/** As fast as a video of keyframes alone is played. */
function previewRate({ frame_rates }: Preset): number {
  return frame_rates.find(({ name }) => name === 'low')?.frames_per_second ?? 2;
}
