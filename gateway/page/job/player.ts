import { part, setText } from '../dom.ts';
import { prefersReducedMotion } from './motion.ts';
import type { Ruler } from './ruler.ts';

export interface PlayerOptions {
  /** The job's element: keys pressed anywhere in it control the player. */
  root: HTMLElement;
  screen: HTMLElement;
  ruler: Ruler;
  rulerPlace: HTMLElement;
  /** Object address of an MP4. */
  address: string;
  label: string;
  framesPerSecond: number;
  /** Called with every frame that is shown. */
  show: (frame: number) => void;
}

/** Plays a finished MP4; the ruler of its frames is the slider. */
export class Player {
  readonly video = document.createElement('video');
  readonly #slider = document.createElement('input');
  readonly #options: PlayerOptions;
  readonly #ending = new AbortController();
  /** The frame it was paused on. Until playback resumes, late events of the video do not change it. */
  #held: number | undefined;

  constructor(options: PlayerOptions) {
    this.#options = options;
    const { root, screen, ruler, rulerPlace, address, label } = options;
    const { signal } = this.#ending;
    this.video.src = address;
    this.video.muted = true;
    this.video.loop = true;
    this.video.playsInline = true;
    this.video.setAttribute('aria-label', label);
    screen.append(this.video);

    this.#slider.type = 'range';
    this.#slider.className = 'scrubber';
    this.#slider.min = '0';
    this.#slider.max = String(ruler.frames - 1);
    this.#slider.step = '1';
    this.#slider.setAttribute('aria-label', 'Frame');
    rulerPlace.append(this.#slider);
    this.#slider.addEventListener('input', () => this.seek(Number(this.#slider.value)));

    const play = part<HTMLButtonElement>(root, 'play');
    const loop = part<HTMLButtonElement>(root, 'loop');
    play.addEventListener('click', () => this.#toggle(), { signal });
    loop.addEventListener('click', () => this.#toggleLoop(), { signal });
    this.video.addEventListener('click', () => this.#toggle());
    for (const event of ['play', 'pause', 'ended']) {
      this.video.addEventListener(event, () => setText(play, this.video.paused ? 'Play' : 'Pause'));
    }
    this.video.addEventListener('play', () => {
      // The event may arrive late, when the video is paused again.
      if (!this.video.paused) {
        this.#held = undefined;
      }
    });
    this.#show(0);
    this.#follow();
    root.addEventListener('keydown', (event) => this.#onKey(event), { signal });
    setText(play, 'Play');
    if (!prefersReducedMotion()) {
      void this.video.play().catch(() => {});
    }
  }

  /** Pauses on a frame; the counter shows it at once, however long the picture takes to load. */
  seek(frame: number): void {
    const last = this.#options.ruler.frames - 1;
    this.#held = Math.min(Math.max(frame, 0), last);
    this.video.pause();
    // The middle of a frame's time: its beginning may round to the frame before.
    this.video.currentTime = (this.#held + 0.5) / this.#options.framesPerSecond;
    this.#show(this.#held);
  }

  close(): void {
    this.#ending.abort();
    this.video.pause();
    URL.revokeObjectURL(this.#options.address);
  }

  #toggle(): void {
    if (this.video.paused) {
      void this.video.play().catch(() => {});
    } else {
      // After a pause without a seek, it may be one frame past the last one that was shown.
      this.seek(this.#frame);
    }
  }

  #toggleLoop(): void {
    this.video.loop = !this.video.loop;
    part(this.#options.root, 'loop').setAttribute('aria-pressed', String(this.video.loop));
  }

  get #frame(): number {
    return Number(this.#slider.value);
  }

  /** Keeps slider and counter at the frame that is played: each one, or four times a second in older browsers. */
  #follow(): void {
    if (!('requestVideoFrameCallback' in HTMLVideoElement.prototype)) {
      this.video.addEventListener('timeupdate', () => this.#played(this.video.currentTime));
      return;
    }
    const next = () => {
      this.video.requestVideoFrameCallback((_, { mediaTime }) => {
        this.#played(mediaTime);
        if (!this.#ending.signal.aborted) {
          next();
        }
      });
    };
    next();
  }

  #played(time: number): void {
    // While it seeks, an event for an earlier frame may still arrive.
    if (this.#held === undefined && !this.video.seeking) {
      const { framesPerSecond, ruler } = this.#options;
      this.#show(Math.min(Math.floor(time * framesPerSecond + 0.01), ruler.frames - 1));
    }
  }

  #show(frame: number): void {
    const { ruler, root, show } = this.#options;
    this.#slider.value = String(frame);
    this.#slider.setAttribute('aria-valuetext', `Frame ${frame + 1} of ${ruler.frames}`);
    const width = String(ruler.frames).length;
    setText(part(root, 'counter'), `${String(frame + 1).padStart(width, '\u2007')} / ${ruler.frames}`);
    ruler.moveHead(frame);
    show(frame);
  }

  #onKey(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    const steers = target.closest('button, a, input:not(.scrubber), select, textarea') === null;
    if (!steers || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const actions: Record<string, () => void> = {
      ' ': () => this.#toggle(),
      k: () => this.#toggle(),
      l: () => this.#toggleLoop(),
      ArrowLeft: () => this.seek(this.#frame - 1),
      ArrowRight: () => this.seek(this.#frame + 1),
      Home: () => this.seek(0),
      End: () => this.seek(this.#options.ruler.frames - 1),
    };
    const action = actions[event.key];
    if (action) {
      event.preventDefault();
      action();
    }
  }
}
