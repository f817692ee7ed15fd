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

  /** @param onChange called after files were chosen or removed */
  constructor(form: HTMLFormElement, preset: Preset, onChange: () => void) {
    this.#first = new FirstPicture(preset, () => replace(this.#first, this.#keyframes));
    this.#keyframes = new GivenKeyframes(preset, () => replace(this.#keyframes, this.#first));
    const replace = (changed: FirstPicture | GivenKeyframes, other: FirstPicture | GivenKeyframes) => {
      if (changed.reference !== undefined && other.reference !== undefined) {
        other.clear();
      }
      onChange();
    };
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
    return this.#keyframes.reference === undefined ? this.#first.names : this.#keyframes.names;
  }

  /** See {@link GivenKeyframes.count}. */
  get keyframeCount(): GivenKeyframes['count'] {
    return this.#keyframes.count;
  }

  showPreset(preset: Preset): void {
    this.#first.showPreset(preset);
    this.#keyframes.showPreset(preset);
  }

  clear(): void {
    this.#first.clear();
    this.#keyframes.clear();
  }

  /**
   * Those of a request that repeats an earlier video. Rejects if its picture cannot be fetched.
   *
   * @param keyframeCount how many keyframes that video was given
   */
  async showThoseOf({ input_reference: reference, keyframes }: VideoRequest, keyframeCount: number): Promise<void> {
    if (typeof keyframes === 'object' && 'video_id' in keyframes) {
      await this.#keyframes.useThoseOf(keyframes.video_id, keyframeCount);
    }
    if (typeof reference === 'object') {
      await this.#first.showPictureOf(reference.video_id);
    }
  }
}
