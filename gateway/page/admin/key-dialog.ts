import { byId, setText } from '../dom.ts';
import type { Key } from '../wire.ts';
import { openForm } from './form-dialog.ts';
import { createKey, keyDefaults, updateKey } from './operate.ts';

const textFields = [
  'name',
  'share',
  'max_priority',
  'concurrent_jobs',
  'queued_jobs',
  'requests_per_minute',
  'max_steps',
  'max_frames',
] as const;

/** Asks for the fields of a new key, and creates it. */
export async function askForKeyFields(refresh: () => Promise<void>): Promise<void> {
  const { scopes, budgets, ...values } = await keyDefaults();
  open(
    'New key',
    'Create key',
    { ...values, scopes: scopes as string[], budgets: budgets as string[] },
    async (fields) => {
      const { key: secret } = await createKey(fields);
      showSecret(secret);
      // After the first key, this asks for it.
      void refresh();
    },
  );
}

/** Asks for changes to a key, and saves them. */
export function editKey(key: Key, refresh: () => Promise<void>): void {
  const budgets = key.budgets.map(({ budget }) => budget);
  open(`Key of ${key.name}`, 'Save', { ...key, budgets }, async (fields) => {
    if (Object.keys(fields).length > 0) {
      await updateKey(key.id, fields);
    }
    setText(byId('announcer'), 'The key is changed.');
    await refresh();
  });
}

type Fields = Record<string, string | string[]>;
type Shown = Record<string, unknown> & { scopes: string[]; budgets: string[] };

function open(heading: string, saveLabel: string, shown: Shown, save: (fields: Fields) => Promise<void>): void {
  for (const name of textFields) {
    field(name).value = String(shown[name] ?? '');
  }
  field('budgets').value = shown.budgets.join(', ') || 'none';
  for (const box of scopeBoxes()) {
    box.checked = shown.scopes.includes(box.value);
  }
  setText(byId('key-heading'), heading);
  setText(byId('key-save'), saveLabel);
  const before = readFields();
  openForm('key-dialog', 'key-fields', () => save(changedFields(before, readFields())));
}

/** Only changed fields are sent, so that the operator log lists nothing else. */
function changedFields(before: Fields, after: Fields): Fields {
  return Object.fromEntries(Object.entries(after).filter(([name, value]) => String(value) !== String(before[name])));
}

function readFields(): Fields {
  return {
    ...Object.fromEntries(textFields.map((name) => [name, field(name).value.trim()])),
    budgets: field('budgets').value.trim() || 'none',
    scopes: scopeBoxes()
      .filter(({ checked }) => checked)
      .map(({ value }) => value),
  };
}

function showSecret(secret: string): void {
  const text = byId<HTMLInputElement>('secret');
  const note = byId('secret-note');
  text.value = secret;
  setText(note, '');
  byId('secret-copy').onclick = async () => {
    try {
      await navigator.clipboard.writeText(secret);
      setText(note, 'Copied.');
    } catch {
      // Pages have the clipboard only over HTTPS and on localhost.
      text.select();
      setText(note, 'Selected: copy it with Ctrl+C.');
    }
  };
  const dialog = byId<HTMLDialogElement>('secret-dialog');
  dialog.addEventListener('close', () => (text.value = ''), { once: true });
  dialog.showModal();
}

function field(name: string): HTMLInputElement {
  return byId<HTMLInputElement>(name);
}

function scopeBoxes(): HTMLInputElement[] {
  return [...byId('key-fields').querySelectorAll<HTMLInputElement>('[name="scopes"]')];
}
