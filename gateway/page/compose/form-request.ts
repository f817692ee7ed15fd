import { hasFile, loraText, presetOf } from '../video-facts.ts';
import type { Preset, Presets, Video, VideoOption } from '../wire.ts';

/** The picture in a request: a data URL, or the picture that an earlier video began with. */
export type PictureReference = string | { video_id: string };

/** Keyframes in a request: data URLs of a clip or of pictures, or the keyframes that an earlier video was given. */
export type KeyframesReference = string | string[] | { video_id: string };

/** The body of `POST /v1/videos`: options by their names. Absent ones take the preset's defaults. */
export interface VideoRequest {
  [option: string]: string | number | boolean | PictureReference | KeyframesReference | undefined;
  prompt: string;
  /** Also decode an early preview and the storyboard as soon as possible. */
  previews: boolean;
  input_reference?: PictureReference;
  keyframes?: KeyframesReference;
}

/** Reads the form's request: one value for each option that has a control. The gateway checks the values. */
export function readForm(form: HTMLFormElement, preset: Preset, presets: Presets): VideoRequest {
  const data = new FormData(form);
  const text = (name: string) => String(data.get(name) ?? '').trim();
  const request: VideoRequest = { prompt: text('prompt'), ...modelOf(preset, presets), previews: true };
  for (const { name, schema } of preset.options) {
    if (text(name) !== '') {
      request[name] = toValue(text(name), schema);
    }
  }
  if (text('lora') !== '') {
    request.lora = text('lora');
  }
  if (text('size') !== '') {
    request.size = text('size')
      .toLowerCase()
      .replace(/\s*[×x*]\s*/, 'x');
  }
  return request;
}

function toValue(text: string, { type }: VideoOption['schema']): string | number | boolean {
  switch (type) {
    case 'integer':
    case 'number':
      return Number(text);
    case 'boolean':
      // A checkbox sends `on`.
      return text === 'on';
    default:
      return text;
  }
}

/** Fills the form with a request, except for its files. */
export function fillForm(form: HTMLFormElement, request: VideoRequest): void {
  form.reset();
  const { input_reference: _, keyframes: __, ...values } = request;
  for (const [name, value] of Object.entries(values)) {
    const field = form.elements.namedItem(name);
    if (field instanceof HTMLInputElement && field.type === 'checkbox') {
      field.checked = value === true;
    } else if (field instanceof RadioNodeList || field instanceof HTMLElement) {
      (field as { value: string } & (RadioNodeList | HTMLElement)).value = String(value);
    }
    if (field instanceof HTMLSelectElement && field.selectedIndex < 0) {
      // The list has the preset's default without a value.
      field.value = '';
    }
  }
}

/** The request that makes the same video again; the gateway chooses the version of the model. */
export function requestOf(video: Video, presets: Presets): VideoRequest {
  const preset = presetOf(video, presets);
  const request: VideoRequest = {
    prompt: video.prompt,
    ...modelOf(preset, presets),
    size: video.size,
    previews: true,
    ...(video.lora.length > 0 && { lora: loraText(video.lora) }),
  };
  for (const { name, response_field } of preset.options) {
    const value = response_field === null ? '' : valueAt(video, response_field);
    if (value !== '' && value !== undefined) {
      request[name] = value;
    }
  }
  if (video.given_keyframes !== null) {
    return { ...request, keyframes: { video_id: video.id } };
  }
  return hasFile(video, 'input_reference') ? { ...request, input_reference: { video_id: video.id } } : request;
}

/** The model, where there is a choice. */
function modelOf({ id }: Preset, { length }: Presets): { model?: string } {
  return length > 1 ? { model: id } : {};
}

/** Undefined for an option that the video's model does not have. */
function valueAt(video: Video, path: string): string | number | boolean | undefined {
  return path.split('.').reduce<unknown>((part, name) => (part as Record<string, unknown>)[name], video) as string;
}
