import { byId, setText } from '../dom.ts';
import type { Preset } from '../wire.ts';
import type { KeyframesReference } from './form-request.ts';
import { readUrl } from './read-url.ts';

interface Chosen {
  reference: KeyframesReference;
  /** Of the files, in order. */
  names: readonly string[];
}

/** The part of the form with keyframes to interpolate between: a clip, or several pictures in the order of their names. */
export class GivenKeyframes {
  readonly #input = byId<HTMLInputElement>('keyframes');
  readonly #strip = byId('keyframes-strip');
  readonly #onChosen: () => void;
  #preset: Preset;
  #chosen: Chosen | undefined;
  /** Counts choices: an earlier one that is read later does not replace a later one. */
  #choice = 0;

  /** @param onChosen called when there are keyframes */
  constructor(preset: Preset, onChosen: () => void) {
    this.#preset = preset;
    this.#onChosen = onChosen;
    this.#input.addEventListener('change', () => void this.#take([...(this.#input.files ?? [])]));
    byId('keyframes-remove').addEventListener('click', () => {
      this.clear();
      this.#input.focus();
    });
  }

  /** For the request; undefined if there are none. */
  get reference(): KeyframesReference | undefined {
    return this.#chosen?.reference;
  }

  /** Names of the chosen files. */
  get names(): readonly string[] {
    return this.#chosen?.names ?? [];
  }

  showPreset(preset: Preset): void {
    this.#preset = preset;
    const { min, max, media_types } = preset.given_keyframes;
    this.#input.accept = media_types.join(',');
    const pictures = min === max ? `${max}` : `${min} to ${max}`;
    setText(
      byId('keyframes-hint'),
      `Or a clip, or ${pictures} pictures: frames are added between them, and none are made from the prompt.`,
    );
  }

  /** Uses the keyframes that an earlier video was given. */
  useThoseOf(id: string): void {
    this.clear();
    this.#show({ reference: { video_id: id }, names: [] }, 'keyframes of an earlier video');
  }

  clear(): void {
    this.#input.value = '';
    this.#forget();
  }

  /** Takes files that were dropped. */
  drop(files: FileList): void {
    this.#input.files = files;
    void this.#take([...files]);
  }

  async #take(given: readonly File[]): Promise<void> {
    if (given.length === 0) {
      return;
    }
    this.#forget();
    const files = given.toSorted((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
    const fault = this.#faultOf(files);
    if (fault !== undefined) {
      this.#showError(fault);
      return;
    }
    const choice = this.#choice;
    const urls = await Promise.all(files.map(readUrl)).catch(() => undefined);
    if (choice !== this.#choice) {
      return;
    }
    if (urls === undefined) {
      this.#showError('A file cannot be read.');
      return;
    }
    const names = files.map(({ name }) => name);
    const [first] = names;
    const isClip = files.length === 1;
    const caption = isClip ? first! : `${files.length} pictures, ${first} to ${names.at(-1)}`;
    this.#show({ reference: isClip ? urls[0]! : urls, names }, caption);
    this.#strip.replaceChildren(...(isClip ? [] : files.map(pictureOf)));
  }

  /** What the gateway would refuse, as far as it shows without decoding. */
  #faultOf(files: readonly File[]): string | undefined {
    const { min, max, max_bytes } = this.#preset.given_keyframes;
    if (files.length > 1 && (files.length < min || files.length > max)) {
      const allowed = min === max ? `${max}` : `${min} to ${max}`;
      return `There must be ${allowed} pictures (got ${files.length}).`;
    }
    const bytes = files.reduce((sum, { size }) => sum + size, 0);
    return bytes > max_bytes ? `The files must have at most ${max_bytes >> 20} MiB together.` : undefined;
  }

  #show(chosen: Chosen, caption: string): void {
    this.#chosen = chosen;
    this.#onChosen();
    setText(byId('keyframes-caption'), caption);
    byId('keyframes-chosen').hidden = false;
  }

  #forget(): void {
    this.#choice++;
    this.#chosen = undefined;
    for (const image of this.#strip.querySelectorAll('img')) {
      URL.revokeObjectURL(image.src);
    }
    this.#strip.replaceChildren();
    byId('keyframes-chosen').hidden = true;
    this.#showError('');
  }

  #showError(text: string): void {
    setText(byId('keyframes-error'), text);
  }
}

function pictureOf(file: File): HTMLElement {
  const image = new Image();
  image.src = URL.createObjectURL(file);
  image.alt = file.name;
  return image;
}
