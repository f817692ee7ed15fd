import { byId, setText } from '../dom.ts';
import type { Preset } from '../wire.ts';
import { ChosenFiles } from './chosen-files.ts';
import type { KeyframesReference } from './form-request.ts';

/** The part of the form with keyframes to interpolate between: a clip, or several pictures in the order of their names. */
export class GivenKeyframes extends ChosenFiles<KeyframesReference> {
  readonly #strip = byId('keyframes-strip');
  /** How many the earlier video was given whose keyframes are used. */
  #earlier = 0;

  constructor(preset: Preset, onChange: () => void) {
    super({ field: 'keyframes', error: 'keyframes' }, preset, onChange);
  }

  /** How many keyframes there will be; `unknown` for a clip, whose frames only the gateway counts; undefined: none given. */
  get count(): number | 'unknown' | undefined {
    const { reference, names } = this;
    if (reference === undefined) {
      return undefined;
    }
    return names.length === 0 ? this.#earlier : names.length === 1 ? 'unknown' : names.length;
  }

  override showPreset(preset: Preset): void {
    super.showPreset(preset);
    if (this.isOffered) {
      setText(
        byId('keyframes-hint'),
        `Or a clip, or ${this.#allowed} pictures: frames are added between them, and none are made from the prompt.`,
      );
    }
  }

  /** Uses the keyframes that an earlier video was given. */
  useThoseOf(id: string, count: number): Promise<void> {
    this.#earlier = count;
    const chosen = { reference: { video_id: id }, names: [] };
    return this.useEarlier(chosen, `${count} keyframes of an earlier video`, async () => []);
  }

  protected get mediaTypes(): readonly string[] {
    return this.preset.given_keyframes?.media_types ?? [];
  }

  protected select(given: readonly File[]): readonly File[] {
    return given.toSorted((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
  }

  protected faultOf(files: readonly File[]): string | undefined {
    const { min, max, max_bytes } = this.preset.given_keyframes!;
    if (files.length > 1 && (files.length < min || files.length > max)) {
      return `There must be ${this.#allowed} pictures (got ${files.length}).`;
    }
    const bytes = files.reduce((sum, { size }) => sum + size, 0);
    return bytes > max_bytes ? `The files must have at most ${max_bytes >> 20} MiB together.` : undefined;
  }

  protected refer(urls: readonly string[]): KeyframesReference {
    return urls.length === 1 ? urls[0]! : [...urls];
  }

  protected caption(files: readonly File[]): string {
    const [first] = files;
    return files.length === 1 ? first!.name : `${files.length} pictures, ${first!.name} to ${files.at(-1)!.name}`;
  }

  protected showFiles(files: readonly Blob[]): void {
    for (const image of this.#strip.querySelectorAll('img')) {
      URL.revokeObjectURL(image.src);
    }
    this.#strip.replaceChildren(...(files.length > 1 ? files.map(pictureOf) : []));
  }

  get #allowed(): string {
    const { min, max } = this.preset.given_keyframes!;
    return min === max ? `${max}` : `${min} to ${max}`;
  }
}

function pictureOf(file: Blob): HTMLElement {
  const image = new Image();
  image.src = URL.createObjectURL(file);
  image.alt = file instanceof File ? file.name : '';
  return image;
}
