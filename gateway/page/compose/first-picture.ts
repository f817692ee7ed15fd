import { fetchFile } from '../api/files.ts';
import { byId, setText } from '../dom.ts';
import { dimensions } from '../video-facts.ts';
import type { Preset } from '../wire.ts';
import type { PictureReference } from './form-request.ts';
import { readUrl } from './read-url.ts';

interface Chosen {
  reference: PictureReference;
  name: string;
}

/** The part of the form with the picture that the video begins with, and the crop of it that will be used. */
export class FirstPicture {
  readonly #field = byId('picture-field');
  readonly #input = byId<HTMLInputElement>('picture');
  readonly #image = byId<HTMLImageElement>('picture-image');
  readonly #size = byId<HTMLInputElement>('size');
  readonly #onChosen: () => void;
  #preset: Preset;
  #chosen: Chosen | undefined;
  /** Counts choices: an earlier one that is read later does not replace a later one. */
  #choice = 0;

  /** @param onChosen called when there is a picture */
  constructor(preset: Preset, onChosen: () => void) {
    this.#preset = preset;
    this.#onChosen = onChosen;
    this.#input.addEventListener('change', () => void this.#take(this.#input.files?.[0]));
    byId('picture-remove').addEventListener('click', () => {
      this.clear();
      this.#input.focus();
    });
    this.#image.addEventListener('load', () => this.#showCrop());
    this.#size.addEventListener('input', () => this.#showCrop());
  }

  /** Whether the model takes one. */
  get isOffered(): boolean {
    return !this.#field.hidden;
  }

  /** For the request; undefined if there is none, or if the model takes none. */
  get reference(): PictureReference | undefined {
    return this.isOffered ? this.#chosen?.reference : undefined;
  }

  /** Name of the chosen file. */
  get name(): string {
    return this.#chosen?.name ?? '';
  }

  showPreset(preset: Preset): void {
    this.#preset = preset;
    this.#field.hidden = preset.input_reference === null;
    this.#input.accept = preset.input_reference?.media_types.join(',') ?? '';
    this.#showCrop();
  }

  /** Shows the picture of an earlier video. */
  async showPictureOf(id: string): Promise<void> {
    this.clear();
    const choice = this.#choice;
    const picture = await fetchFile(id, 'input_reference');
    if (choice === this.#choice) {
      this.#show({ reference: { video_id: id }, name: 'picture of an earlier video' }, picture);
    }
  }

  clear(): void {
    this.#input.value = '';
    this.#forget();
  }

  #forget(): void {
    this.#choice++;
    this.#chosen = undefined;
    URL.revokeObjectURL(this.#image.src);
    this.#image.removeAttribute('src');
    byId('picture-chosen').hidden = true;
    this.#showError('');
  }

  /** Takes the first of the files that were dropped. */
  drop(files: FileList): void {
    this.#input.files = files;
    void this.#take(files[0]);
  }

  async #take(file: File | undefined): Promise<void> {
    const limits = this.#preset.input_reference;
    if (!file || !limits) {
      return;
    }
    this.#forget();
    if (file.size > limits.max_bytes) {
      this.#showError(`The picture must have at most ${limits.max_bytes >> 20} MiB.`);
      return;
    }
    const choice = this.#choice;
    const reference = await readUrl(file).catch(() => undefined);
    if (choice !== this.#choice) {
      return;
    }
    if (reference === undefined) {
      this.#showError('The file cannot be read.');
      return;
    }
    this.#show({ reference, name: file.name }, file);
  }

  #show(chosen: Chosen, picture: Blob): void {
    this.#chosen = chosen;
    this.#onChosen();
    this.#image.src = URL.createObjectURL(picture);
    setText(byId('picture-caption'), chosen.name);
    byId('picture-crop').hidden = true;
    byId('picture-chosen').hidden = false;
  }

  #showError(text: string): void {
    setText(byId('input_reference-error'), text);
  }

  /** Marks the part of the picture that has the video's shape. */
  #showCrop(): void {
    const { naturalWidth: width, naturalHeight: height } = this.#image;
    if (!this.#chosen || width === 0) {
      return;
    }
    const typed = /^\s*(\d+)\s*[×x*]\s*(\d+)\s*$/i.exec(this.#size.value);
    const size = typed ? `${typed[1]}x${typed[2]}` : this.#preset.size.default;
    const [videoWidth, videoHeight] = dimensions({ size });
    const scale = Math.max(videoWidth / width, videoHeight / height);
    const used = [videoWidth / scale, videoHeight / scale].map(Math.round) as [number, number];
    const crop = byId('picture-crop');
    crop.style.inset = `${50 - (50 * used[1]) / height}% ${50 - (50 * used[0]) / width}%`;
    crop.hidden = false;
    const isWhole = used[0] === width && used[1] === height;
    const part = isWhole ? '' : `; its centre of ${used.join('×')} is used`;
    setText(byId('picture-caption'), `${this.#chosen.name}, ${width}×${height}${part}`);
  }
}
