import { byId, fromTemplate, part, setText } from '../dom.ts';
import { formatSeconds, formatSize } from '../formats.ts';
import { Ruler } from '../job/ruler.ts';
import { frameCounts, framesBetween } from '../pipeline.ts';
import { loraText } from '../video-facts.ts';
import type { FrameRate, Preset, Presets } from '../wire.ts';
import { showCurl } from './curl-dialog.ts';
import { clearFormErrors, showFormError } from './field-errors.ts';
import { fillForm, readForm, type VideoRequest } from './form-request.ts';
import { GivenPictures } from './given-pictures.ts';

interface ComposerOptions {
  create(request: VideoRequest): Promise<void>;
  /** Called with the first model, and again whenever another one is chosen. */
  chosen(preset: Preset): void;
}

/** The form that requests a video. */
export class Composer {
  readonly #form = byId<HTMLFormElement>('compose');
  readonly #prompt = byId<HTMLTextAreaElement>('prompt');
  readonly #model = byId<HTMLSelectElement>('model');
  readonly #presets: Presets;
  readonly #options: ComposerOptions;
  readonly #pictures: GivenPictures;
  #preset: Preset;
  #busy = false;

  constructor(presets: Presets, options: ComposerOptions) {
    this.#presets = presets;
    this.#options = options;
    this.#preset = presets[0];
    this.#pictures = new GivenPictures(this.#form, this.#preset, () => this.#showFrames());
    this.#model.append(...presets.map(({ id }) => new Option(id)));
    byId('model-field').hidden = presets.length === 1;
    this.#showPreset(this.#preset);
    this.#model.addEventListener('change', () => this.#choose(this.#model.value));
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#submit();
    });
    this.#form.addEventListener('reset', () => {
      clearFormErrors(this.#form);
      this.#pictures.clear();
      // Resetting also chooses the first model, once this event ends.
      setTimeout(() => {
        this.#choose(this.#model.value);
        this.#showSampling(this.#preset);
      });
    });
    byId('quality').addEventListener('change', () => this.#showSampling(this.#preset));
    this.#prompt.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        this.#form.requestSubmit();
      }
    });
    byId('compose-curl').addEventListener('click', () => showCurl(this.#read(), this.#pictures.names));
  }

  /**
   * Fills the form with the settings of a request that repeats an earlier video.
   *
   * @param keyframeCount how many keyframes that video was given
   */
  edit(request: VideoRequest, keyframeCount: number): void {
    clearFormErrors(this.#form);
    this.#choose(String(request.model ?? this.#presets[0].id));
    fillForm(this.#form, request);
    this.#showSampling(this.#preset);
    void this.#pictures.showThoseOf(request, keyframeCount).catch((error) => showFormError(this.#form, error));
    byId<HTMLDetailsElement>('advanced').open = true;
    this.#prompt.focus();
    this.#form.scrollIntoView({ block: 'start' });
  }

  #read(): VideoRequest {
    return { ...readForm(this.#form, this.#preset, this.#presets), ...this.#pictures.references };
  }

  /** Offers the sizes, frame rates and defaults of another model; the prompt stays. */
  #choose(id: string): void {
    const preset = this.#presets.find((each) => each.id === id);
    if (preset && preset !== this.#preset) {
      this.#showPreset(preset);
    }
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
      await this.#options.create(this.#read());
    } catch (error) {
      showFormError(this.#form, error);
    } finally {
      this.#busy = false;
      button.removeAttribute('aria-disabled');
    }
  }

  #showPreset(preset: Preset): void {
    this.#preset = preset;
    const { examples, size, keyframes, interpolation } = preset;
    replaceAfterFirst(
      'examples',
      examples.map((text) => this.#example(text)),
    );
    replaceAfterFirst(
      'rates',
      preset.frame_rates.map((rate) => rateChoice(rate, preset)),
    );
    byId<HTMLInputElement>('size').placeholder = formatSize(size.default);
    for (const { name, schema } of preset.options) {
      const field = this.#form.elements.namedItem(name);
      if (field instanceof HTMLInputElement && field.type === 'number') {
        field.min = String(schema.minimum);
        field.max = String(schema.maximum);
      }
    }
    this.#showFirstFrame(preset);
    this.#showPerturbation(preset);
    this.#pictures.showPreset(preset);
    this.#showFrames();
    fillSelect(
      'quality',
      preset.qualities.map(({ name }) => name),
      preset.default_quality,
    );
    byId('quality').parentElement!.hidden = preset.qualities.length === 1;
    this.#showSampling(preset);
    byId('size-field').hidden = size.minimum === size.maximum || size.allowed?.length === 1;
    byId('sizes').replaceChildren(...(size.allowed ?? []).map((each) => new Option(formatSize(each), each)));
    fillSelect('sampler', preset.samplers, keyframes.sampler);
    fillSelect('interpolation_sampler', preset.samplers, interpolation.sampler);
    fillSelect('format', preset.formats, preset.formats[0]!);
    fillSelect('lora', ['none', ...preset.loras.map(loraText)], 'none');
    byId('lora-field').hidden = preset.loras.length === 0;
    this.#options.chosen(preset);
  }

  /** Shows how many frames each frame rate makes, which depends on how many keyframes are given. */
  #showFrames(): void {
    const { frame_rates, keyframes } = this.#preset;
    const count = this.#pictures.keyframeCount;
    const atMost = count === 'unknown' ? 'up to ' : '';
    const given = typeof count === 'number' ? count : keyframes.frames;
    const choices = byId('rates').querySelectorAll('.rate');
    for (const [index, { frames, frames_per_second }] of frame_rates.entries()) {
      const made = framesBetween(frames, keyframes.frames, given);
      setText(part(choices[index]!, 'frames'), `${atMost}${made}`);
      setText(part(choices[index]!, 'length'), formatSeconds(made / frames_per_second));
    }
  }

  /** Shows the defaults of the chosen quality. */
  #showSampling({ qualities, default_quality }: Preset): void {
    const chosen = byId<HTMLSelectElement>('quality').value || default_quality;
    const { keyframes, interpolation } = qualities.find(({ name }) => name === chosen)!;
    const placeholders = {
      steps: keyframes.steps,
      guidance_scale: keyframes.guidance_scale,
      interpolation_steps: interpolation.steps,
      interpolation_guidance_scale: interpolation.guidance_scale,
    };
    for (const [id, value] of Object.entries(placeholders)) {
      byId<HTMLInputElement>(id).placeholder = String(value);
    }
  }

  /** Only some models continue a first frame. */
  #showFirstFrame({ options }: Preset): void {
    const option = (name: string) => options.find((each) => each.name === name);
    const motion = option('motion');
    byId('first-frame').hidden = motion === undefined;
    if (motion !== undefined) {
      fillSelect('motion', motion.schema.enum as string[], String(motion.default));
      for (const name of ['noise_augmentation', 'image_guidance_scale']) {
        byId<HTMLInputElement>(name).placeholder = String(option(name)?.default);
      }
    }
  }

  /** Only some interpolation networks are told of noise. */
  #showPerturbation({ options }: Preset): void {
    const perturbation = options.find(({ name }) => name === 'perturbation');
    byId('perturbation-field').hidden = perturbation === undefined;
    byId<HTMLInputElement>('perturbation').placeholder = String(perturbation?.default ?? '');
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

function rateChoice({ name, stages }: FrameRate, preset: Preset): HTMLElement {
  const choice = fromTemplate<HTMLElement>('rate-template');
  const radio = choice.querySelector('input')!;
  radio.value = name;
  radio.defaultChecked = name === preset.default_frame_rate;
  // A few keyframes are enough to show how many frames the rate adds between them.
  const [keyframes, ...others] = frameCounts(stages, preset.keyframes.frames);
  const shown = 4;
  const scaled = others.map((count) => 1 + ((count - 1) * (shown - 1)) / (keyframes - 1));
  const ruler = new Ruler([shown, ...scaled]);
  ruler.show({ keyframes: 1, passes: scaled.map(() => 1), decoded: 0 });
  part(choice, 'marks').append(ruler.element);
  return choice;
}

/** Replaces everything in an element but its label. */
function replaceAfterFirst(id: string, elements: readonly HTMLElement[]): void {
  const place = byId(id);
  place.replaceChildren(place.firstElementChild!, ...elements);
}

/** The first entry names the preset's default and sends no value. */
function fillSelect(id: string, values: readonly string[], preferred: string): void {
  const options = [new Option(`${preferred} (default)`, ''), ...values.map((value) => new Option(value, value))];
  byId(id).replaceChildren(...options.filter(({ value }) => value !== preferred));
}
