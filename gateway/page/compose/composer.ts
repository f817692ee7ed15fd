import { byId, fromTemplate, part, setText } from '../dom.ts';
import { formatSeconds, formatSize } from '../formats.ts';
import { Ruler } from '../job/ruler.ts';
import { frameCounts } from '../pipeline.ts';
import type { FrameRate, Preset, VideoOption } from '../wire.ts';
import { showCurl } from './curl-dialog.ts';
import { clearFormErrors, showFormError } from './field-errors.ts';
import { fillForm, readForm, type VideoRequest } from './form-request.ts';

/** The form that asks for a video. */
export class Composer {
  readonly #form = byId<HTMLFormElement>('compose');
  readonly #prompt = byId<HTMLTextAreaElement>('prompt');
  readonly #create: (request: VideoRequest) => Promise<void>;
  readonly #options: readonly VideoOption[];
  #busy = false;

  constructor(preset: Preset, create: (request: VideoRequest) => Promise<void>) {
    this.#create = create;
    this.#options = preset.options;
    this.#showPreset(preset);
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#submit();
    });
    this.#form.addEventListener('reset', () => clearFormErrors(this.#form));
    this.#prompt.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        this.#form.requestSubmit();
      }
    });
    byId('compose-curl').addEventListener('click', () => showCurl(readForm(this.#form, this.#options)));
  }

  /** Fills the form with the settings of a request. */
  edit(request: VideoRequest): void {
    clearFormErrors(this.#form);
    fillForm(this.#form, request);
    byId<HTMLDetailsElement>('advanced').open = true;
    this.#prompt.focus();
    this.#form.scrollIntoView({ block: 'start' });
  }

  async #submit(): Promise<void> {
    if (this.#busy) {
      return;
    }
    clearFormErrors(this.#form);
    const button = byId<HTMLButtonElement>('create');
    this.#busy = true;
    button.setAttribute('aria-disabled', 'true');
    try {
      await this.#create(readForm(this.#form, this.#options));
    } catch (error) {
      showFormError(this.#form, error);
    } finally {
      this.#busy = false;
      button.removeAttribute('aria-disabled');
    }
  }

  #showPreset(preset: Preset): void {
    const { examples, size, keyframes, interpolation } = preset;
    byId('examples').append(...examples.map((text) => this.#example(text)));
    byId('rates').append(...preset.frame_rates.map((rate) => rateChoice(rate, preset)));
    const placeholders = {
      steps: keyframes.steps,
      guidance_scale: keyframes.guidance_scale,
      interpolation_steps: interpolation.steps,
      interpolation_guidance_scale: interpolation.guidance_scale,
      size: formatSize(size.default),
    };
    for (const [id, value] of Object.entries(placeholders)) {
      byId<HTMLInputElement>(id).placeholder = String(value);
    }
    for (const { name, schema } of this.#options) {
      const field = this.#form.elements.namedItem(name);
      if (field instanceof HTMLInputElement && field.type === 'number') {
        field.min = String(schema.minimum);
        field.max = String(schema.maximum);
      }
    }
    byId('size-field').hidden = size.minimum === size.maximum;
    fillSelect('sampler', preset.samplers, keyframes.sampler);
    fillSelect('interpolation_sampler', preset.samplers, interpolation.sampler);
    fillSelect('format', preset.formats, preset.formats[0]!);
  }

  #example(text: string): HTMLElement {
    const button = fromTemplate<HTMLButtonElement>('example-template');
    setText(button, text);
    button.addEventListener('click', () => {
      this.#prompt.value = text;
      this.#prompt.focus();
    });
    return button;
  }
}

function rateChoice({ name, frames, frames_per_second, stages }: FrameRate, preset: Preset): HTMLElement {
  const choice = fromTemplate<HTMLElement>('rate-template');
  const radio = choice.querySelector('input')!;
  radio.value = name;
  radio.defaultChecked = name === preset.default_frame_rate;
  // A few keyframes are enough to show what the rate adds between them.
  const [keyframes, ...others] = frameCounts(stages, preset);
  const shown = 4;
  const scaled = others.map((count) => 1 + ((count - 1) * (shown - 1)) / (keyframes - 1));
  const ruler = new Ruler([shown, ...scaled]);
  ruler.show({ keyframes: 1, passes: scaled.map(() => 1), decoded: 0 });
  part(choice, 'marks').append(ruler.element);
  setText(part(choice, 'frames'), `${frames}`);
  setText(part(choice, 'length'), formatSeconds(frames / frames_per_second));
  return choice;
}

/** The first entry names the preset's default and sends no value. */
function fillSelect(id: string, values: readonly string[], preferred: string): void {
  const options = [new Option(`${preferred} (default)`, ''), ...values.map((value) => new Option(value, value))];
  byId(id).append(...options.filter(({ value }) => value !== preferred));
}
