import { unknownField } from '../../../services/kit/errors.ts';
import { fieldName } from '../../../services/kit/field-name.ts';
import { tryParse } from '../../../services/kit/schema.ts';
import { isOption, jsonValues, type Options } from '../../../services/pipeline/options.ts';
import { type JobSettings, type OptionValues, videoOptions } from '../../../services/pipeline/video-options.ts';

/** Settings as stored in a job's row, as JSON. */
export type StoredSettings = { readonly [field: string]: unknown };

export interface ReadSettings {
  settings: JobSettings;
  /** Why this release cannot read them (a newer release accepted the job). */
  fault?: string;
}

export function storeSettings({ givenKeyframes, loras, ...settings }: JobSettings): StoredSettings {
  return {
    ...(jsonValues(videoOptions, settings) as StoredSettings),
    ...(givenKeyframes !== undefined && { givenKeyframes }),
    ...(loras && { loras }),
  };
}

/**
 * The settings of a stored job. Older jobs get the defaults of options added since. An unreadable value is kept as it
 * is, for display, and reported as a fault.
 */
export function readStoredSettings({ givenKeyframes, loras, ...stored }: StoredSettings): ReadSettings {
  const faults: string[] = [];
  const settings = readGroup(videoOptions, stored, [], faults) as OptionValues;
  const given = {
    ...(typeof givenKeyframes === 'number' && { givenKeyframes }),
    ...(Array.isArray(loras) && { loras: loras as JobSettings['loras'] & object }),
  };
  return { settings: { ...settings, ...given }, ...(faults.length > 0 && { fault: faults.join('; ') }) };
}

function readGroup(options: Options, stored: StoredSettings, path: string[], faults: string[]): object {
  faults.push(
    ...Object.keys(stored)
      .filter((field) => !Object.hasOwn(options, field))
      .map((field) => unknownField(fieldName([...path, field])).message),
  );
  return Object.fromEntries(
    Object.entries(options).map(([field, entry]) => {
      const inner = [...path, field];
      if (!isOption(entry)) {
        return [field, readGroup(entry, (stored[field] ?? {}) as StoredSettings, inner, faults)];
      }
      const value = stored[field] ?? entry.before;
      if (value === undefined && entry.isOffered) {
        return [field, undefined];
      }
      const parsed = tryParse(entry.kind.given, value);
      if ('value' in parsed) {
        return [field, parsed.value];
      }
      faults.push(`\`${fieldName(inner)}\` must be ${entry.kind.mustBe} (it is ${JSON.stringify(value) ?? 'missing'})`);
      return [field, value];
    }),
  );
}
