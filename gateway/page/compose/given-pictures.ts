import { byId } from '../dom.ts';
import type { Preset } from '../wire.ts';
import { acceptDrops } from './accept-drops.ts';
import { FirstPicture } from './first-picture.ts';
import type { VideoRequest } from './form-request.ts';
import { GivenKeyframes } from './given-keyframes.ts';

/** The part of the form with files: a first frame, or keyframes. Choosing one removes the other. */
export class GivenPictures {
  readonly #first: FirstPicture;
  readonly #keyframes: GivenKeyframes;

  constructor(form: HTMLFormElement, preset: Preset) {
    this.#first = new FirstPicture(preset, () => this.#keyframes.clear());
    this.#keyframes = new GivenKeyframes(preset, () => this.#first.clear());
    acceptDrops(form, byId('given-pictures'), (files) => {
      const isFirst = files.length === 1 && files[0]!.type.startsWith('image/') && this.#first.isOffered;
      (isFirst ? this.#first : this.#keyframes).drop(files);
    });
  }

  /** For the request. */
  get references(): Pick<VideoRequest, 'input_reference' | 'keyframes'> {
    const [picture, keyframes] = [this.#first.reference, this.#keyframes.reference];
    return {
      ...(picture !== undefined && { input_reference: picture }),
      ...(keyframes !== undefined && { keyframes }),
    };
  }

  /** Names of the chosen files. */
  get names(): readonly string[] {
    return this.#keyframes.reference === undefined ? [this.#first.name] : this.#keyframes.names;
  }

  showPreset(preset: Preset): void {
    this.#first.showPreset(preset);
    this.#keyframes.showPreset(preset);
  }

  clear(): void {
    this.#first.clear();
    this.#keyframes.clear();
  }

  /** Those of a request that repeats an earlier video. Rejects if its picture cannot be fetched. */
  async showThoseOf({ input_reference: reference, keyframes }: VideoRequest): Promise<void> {
    if (typeof keyframes === 'object' && 'video_id' in keyframes) {
      this.#keyframes.useThoseOf(keyframes.video_id);
    }
    if (typeof reference === 'object') {
      await this.#first.showPictureOf(reference.video_id);
    }
  }
}
