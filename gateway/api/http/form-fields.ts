import { isUtf8 } from 'node:buffer';
import { shown } from '../../../services/kit/errors.ts';
import { ProtocolError } from './http-error.ts';

/** The fields of a form; a file is its bytes. Without a prototype, so that no name has a special meaning. */
export type FormFields = { [name: string]: string | null | Uint8Array | (string | Uint8Array)[] | FormFields };

/** `a`, `a[b]`, and with `[]` behind it an item of a list, as the `openai` client writes them. */
const namePattern = /^([^[\]]+)(?:\[([^[\]]+)\])?(\[\])?$/;

/**
 * Adds a field; `a[b]` is field `b` of object `a`, and `a[b][]` an item of that. Throws 400 for a duplicate and for other
 * brackets.
 */
export function putField(fields: FormFields, name: string, value: string | Uint8Array | null): void {
  const found = namePattern.exec(name);
  if (!found && /[[\]]/.test(name)) {
    throw fieldFault('malformed_field', name, 'named like `metadata[team]` or `webhook[events][]`');
  }
  const [, outer = name, inner, list] = found ?? [];
  const target = inner === undefined ? fields : (fields[outer] ??= Object.create(null) as FormFields);
  const key = inner ?? outer;
  const isObject =
    typeof target === 'object' && target !== null && !Array.isArray(target) && !ArrayBuffer.isView(target);
  const known = isObject ? target[key] : null;
  if (known !== undefined && !(list && Array.isArray(known))) {
    throw fieldFault('duplicate_field', name, 'given once');
  }
  (target as FormFields)[key] = list
    ? [...((known as string[]) ?? []), ...(value === null ? [] : [value as string])]
    : value;
}

/** The parameters of a query; `a[b]` is field `b` of object `a`. Throws 400 for a duplicate. */
export function nestFields(query: Readonly<Record<string, unknown>>): object {
  const fields: FormFields = Object.create(null);
  for (const [name, value] of Object.entries(query)) {
    putField(fields, name, value as string);
  }
  return fields;
}

/** Decodes a field's bytes. Throws 400 naming the field if they are not UTF-8. */
export function fieldText(name: string, bytes: Buffer): string {
  if (!isUtf8(bytes)) {
    throw fieldFault('malformed_field', name, 'text in UTF-8');
  }
  return bytes.toString();
}

export function fieldFault(code: string, name: string, mustBe: string): ProtocolError {
  return new ProtocolError(400, code, `\`${shown(name)}\` must be ${mustBe}`, {}, shown(name));
}
