import { fetchFile } from '../api/files.ts';
import { byId } from '../dom.ts';
import { dimensions } from '../video-facts.ts';
import type { Preset } from '../wire.ts';
import { ChosenFiles } from './chosen-files.ts';
import type { PictureReference } from './form-request.ts';

/** The part of the form with the picture that the video begins with, and the crop of it that will be used. */
export class FirstPicture extends ChosenFiles<PictureReference> {
  readonly #image = byId<HTMLImageElement>('picture-image');
  readonly #size = byId<HTMLInputElement>('size');

  constructor(preset: Preset, onChange: () => void) {
    super({ field: 'picture', error: 'input_reference' }, preset, onChange);
    this.#image.addEventListener('load', () => this.#showCrop());
    this.#size.addEventListener('input', () => this.#showCrop());
  }

  override showPreset(preset: Preset): void {
    super.showPreset(preset);
    this.#showCrop();
  }

  /** Shows the picture of an earlier video. */
  showPictureOf(id: string): Promise<void> {
    const name = 'picture of an earlier video';
    const chosen = { reference: { video_id: id }, names: [name] };
    return this.useEarlier(chosen, name, async () => [await fetchFile(id, 'input_reference')]);
  }

  protected get mediaTypes(): readonly string[] {
    return this.preset.input_reference?.media_types ?? [];
  }

  protected select([first]: readonly File[]): readonly File[] {
    return [first!];
  }

  protected faultOf([file]: readonly File[]): string | undefined {
    const { max_bytes } = this.preset.input_reference!;
    return file!.size > max_bytes ? `The picture must have at most ${max_bytes >> 20} MiB.` : undefined;
  }

  protected refer([url]: readonly string[]): PictureReference {
    return url!;
  }

  protected caption([file]: readonly File[]): string {
    return file!.name;
  }

  protected showFiles([picture]: readonly Blob[]): void {
    URL.revokeObjectURL(this.#image.src);
    byId('picture-crop').hidden = true;
    if (picture === undefined) {
      this.#image.removeAttribute('src');
    } else {
      this.#image.src = URL.createObjectURL(picture);
    }
  }

  /** Marks the part of the picture that has the video's shape. */
  #showCrop(): void {
    const { naturalWidth: width, naturalHeight: height } = this.#image;
    const [name] = this.names;
    if (name === undefined || width === 0) {
      return;
    }
    const typed = /^\s*(\d+)\s*[×x*]\s*(\d+)\s*$/i.exec(this.#size.value);
    const size = typed ? `${typed[1]}x${typed[2]}` : this.preset.size.default;
    const [videoWidth, videoHeight] = dimensions({ size });
    const scale = Math.max(videoWidth / width, videoHeight / height);
    const used = [videoWidth / scale, videoHeight / scale].map(Math.round) as [number, number];
    const crop = byId('picture-crop');
    crop.style.inset = `${50 - (50 * used[1]) / height}% ${50 - (50 * used[0]) / width}%`;
    crop.hidden = false;
    const isWhole = used[0] === width && used[1] === height;
    const part = isWhole ? '' : `; its centre of ${used.join('×')} is used`;
    this.showCaption(`${name}, ${width}×${height}${part}`);
  }
}
