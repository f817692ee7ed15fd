import type { VideoRequest } from '../wire.ts';

const numbers = ['steps', 'guidance_scale', 'interpolation_steps', 'interpolation_guidance_scale'] as const;
const texts = ['negative_prompt', 'frame_rate', 'seed', 'sampler', 'interpolation_sampler', 'size', 'format'] as const;

/** What the form asks for; what was left empty is left to the preset. The gateway checks it. */
export function readForm(form: HTMLFormElement): VideoRequest {
  const data = new FormData(form);
  const text = (name: string) => String(data.get(name) ?? '').trim();
  const request: VideoRequest = { prompt: text('prompt'), previews: true };
  for (const name of texts) {
    if (text(name) !== '') {
      request[name] =
        name === 'size'
          ? text(name)
              .toLowerCase()
              .replace(/\s*[×x*]\s*/, 'x')
          : text(name);
    }
  }
  for (const name of numbers) {
    if (text(name) !== '') {
      request[name] = Number(text(name));
    }
  }
  return request;
}

/** Fills the form with a request. */
export function fillForm(form: HTMLFormElement, request: VideoRequest): void {
  form.reset();
  for (const [name, value] of Object.entries(request)) {
    const field = form.elements.namedItem(name);
    if (field instanceof RadioNodeList || field instanceof HTMLElement) {
      (field as { value: string } & (RadioNodeList | HTMLElement)).value = String(value);
    }
  }
}
