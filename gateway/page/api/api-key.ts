import { byId, setText } from '../dom.ts';

const storageName = 'fusionframes.api-key';

/** The key in use. It is kept for the lifetime of the tab, so that the next person at this computer cannot use it. */
export function apiKey(): string {
  return sessionStorage.getItem(storageName) ?? '';
}

let asking: Promise<void> | undefined;

/**
 * Shows the key form instead of the page and waits until a key is entered. However many requests were refused
 * meanwhile, it asks once.
 */
export function askForKey(refused: string): Promise<void> {
  if (refused !== apiKey()) {
    return Promise.resolve();
  }
  asking ??= ask(refused !== '').finally(() => {
    asking = undefined;
  });
  return asking;
}

export function forgetKey(): void {
  sessionStorage.removeItem(storageName);
}

function ask(wasRefused: boolean): Promise<void> {
  const form = byId<HTMLFormElement>('key-form');
  const field = byId<HTMLInputElement>('key');
  const desk = byId('desk');
  const deskWasHidden = desk.hidden;
  desk.hidden = true;
  form.hidden = false;
  setText(byId('key-error'), wasRefused ? 'This key was not accepted. It may have been revoked or mistyped.' : '');
  field.setAttribute('aria-invalid', String(wasRefused));
  field.focus();
  return new Promise((resolve) => {
    form.onsubmit = (event) => {
      event.preventDefault();
      const key = field.value.trim();
      if (!/^[\x21-\x7e]+$/.test(key)) {
        setText(byId('key-error'), 'A key consists of ASCII letters, digits and punctuation without spaces: ff_…');
        field.setAttribute('aria-invalid', 'true');
        return;
      }
      sessionStorage.setItem(storageName, key);
      field.value = '';
      form.hidden = true;
      desk.hidden = deskWasHidden;
      resolve();
    };
  });
}
