import { ApiError, inPlainWords } from '../api/api-error.ts';
import { forgetWhenReachable } from '../api/connection.ts';
import { setText } from '../dom.ts';

/** Shows an error at the field it concerns, or at the end of the form if it concerns none. */
export function showFormError(form: HTMLFormElement, error: unknown): void {
  const name = error instanceof ApiError ? error.field : undefined;
  const place = name ? form.querySelector<HTMLElement>(`[data-error-of="${CSS.escape(name)}"]`) : null;
  const text = inPlainWords(error);
  if (!place || !name) {
    const line = form.querySelector<HTMLElement>('.form-error')!;
    setText(line, text);
    forgetWhenReachable(line, error);
    return;
  }
  // In a group of fields the message stands below all of them.
  const label = place.closest('.group') && form.querySelector(`label[for="${CSS.escape(name)}"]`)?.textContent;
  setText(place, label ? `${label}: ${text}` : text);
  place.closest('details')?.setAttribute('open', '');
  const fields = form.querySelectorAll<HTMLInputElement>(`[name="${CSS.escape(name)}"]`);
  for (const field of fields) {
    field.setAttribute('aria-invalid', 'true');
  }
  ([...fields].find(({ checked }) => checked) ?? fields[0])?.focus();
}

export function clearFormErrors(form: HTMLFormElement): void {
  for (const place of form.querySelectorAll('[data-error-of], .form-error')) {
    setText(place, '');
  }
  for (const field of form.querySelectorAll('[aria-invalid]')) {
    field.removeAttribute('aria-invalid');
  }
}
