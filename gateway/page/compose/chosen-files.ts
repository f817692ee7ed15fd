import { byId, setText } from '../dom.ts';
import type { Preset } from '../wire.ts';
import { readUrl } from './read-url.ts';

/** What was chosen in a field for files. */
export interface Choice<Reference> {
  /** For the request. */
  reference: Reference;
  /** Of the files, in order. */
  names: readonly string[];
}

/** Ids of a field's elements begin with `field`; that of its error is the name of the request's field. */
export interface FieldIds {
  field: string;
  error: string;
}

/** A field of the form with files, read as data URLs. Choosing some replaces those chosen before. */
export abstract class ChosenFiles<Reference> {
  readonly #input: HTMLInputElement;
  readonly #ids: FieldIds;
  readonly #onChange: () => void;
  #preset: Preset;
  #chosen: Choice<Reference> | undefined;
  /** Counts choices: an earlier one that is read later does not replace a later one. */
  #choice = 0;

  /** @param onChange called after files were chosen or removed */
  constructor(ids: FieldIds, preset: Preset, onChange: () => void) {
    this.#ids = ids;
    this.#preset = preset;
    this.#onChange = onChange;
    this.#input = byId<HTMLInputElement>(ids.field);
    this.#input.addEventListener('change', () => void this.#take([...(this.#input.files ?? [])]));
    byId(`${ids.field}-remove`).addEventListener('click', () => {
      this.clear();
      this.#input.focus();
    });
  }

  /** Whether the model takes such files. */
  get isOffered(): boolean {
    return this.mediaTypes.length > 0;
  }

  /** For the request; undefined if there are none, or if the model takes none. */
  get reference(): Reference | undefined {
    return this.isOffered ? this.#chosen?.reference : undefined;
  }

  /** Names of the chosen files. */
  get names(): readonly string[] {
    return this.#chosen?.names ?? [];
  }

  showPreset(preset: Preset): void {
    this.#preset = preset;
    byId(`${this.#ids.field}-field`).hidden = !this.isOffered;
    this.#input.accept = this.mediaTypes.join(',');
  }

  clear(): void {
    this.#input.value = '';
    this.#forget();
    this.#onChange();
  }

  /** Takes files that were dropped. */
  drop(files: FileList): void {
    this.#input.files = files;
    void this.#take([...files]);
  }

  protected get preset(): Preset {
    return this.#preset;
  }

  /** Kinds of files that the model takes; none: it takes no such files. */
  protected abstract get mediaTypes(): readonly string[];

  /** The files to use of those given, in order. */
  protected abstract select(given: readonly File[]): readonly File[];

  /** What the gateway would refuse, as far as it shows without decoding. */
  protected abstract faultOf(files: readonly File[]): string | undefined;

  /** @param urls data URLs of the files */
  protected abstract refer(urls: readonly string[]): Reference;

  protected abstract caption(files: readonly File[]): string;

  /** Shows the files themselves; none: shows nothing any more. */
  protected abstract showFiles(files: readonly Blob[]): void;

  protected showCaption(text: string): void {
    setText(byId(`${this.#ids.field}-caption`), text);
  }

  /** Uses what an earlier video has, once `load` has fetched the files to show. */
  protected async useEarlier(
    chosen: Choice<Reference>,
    caption: string,
    load: () => Promise<readonly Blob[]>,
  ): Promise<void> {
    this.clear();
    const choice = this.#choice;
    const files = await load();
    if (choice === this.#choice) {
      this.#show(chosen, caption, files);
    }
  }

  async #take(given: readonly File[]): Promise<void> {
    if (given.length === 0 || !this.isOffered) {
      return;
    }
    this.#forget();
    const files = this.select(given);
    const fault = this.faultOf(files);
    if (fault !== undefined) {
      this.#showError(fault);
      this.#onChange();
      return;
    }
    const choice = this.#choice;
    const urls = await Promise.all(files.map(readUrl)).catch(() => undefined);
    if (choice !== this.#choice) {
      return;
    }
    if (urls === undefined) {
      this.#showError(files.length === 1 ? 'The file cannot be read.' : 'A file cannot be read.');
      this.#onChange();
      return;
    }
    this.#show({ reference: this.refer(urls), names: files.map(({ name }) => name) }, this.caption(files), files);
  }

  #show(chosen: Choice<Reference>, caption: string, files: readonly Blob[]): void {
    this.#chosen = chosen;
    this.showCaption(caption);
    this.showFiles(files);
    byId(`${this.#ids.field}-chosen`).hidden = false;
    this.#onChange();
  }

  #forget(): void {
    this.#choice++;
    this.#chosen = undefined;
    this.showFiles([]);
    byId(`${this.#ids.field}-chosen`).hidden = true;
    this.#showError('');
  }

  #showError(text: string): void {
    setText(byId(`${this.#ids.error}-error`), text);
  }
}
