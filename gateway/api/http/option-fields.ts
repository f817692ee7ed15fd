import { z } from 'zod';
import { fieldName, snakeCase } from '../../../services/kit/field-name.ts';
import {
  defaultText,
  isOption,
  type JsonValuesOf,
  jsonValue,
  jsonValues,
  listOptions,
  type Option,
  type Options,
  optionalValue,
  valueAt,
} from '../../../services/pipeline/options.ts';
import type { Preset } from '../../../services/pipeline/preset.ts';
import { settingsDefaults, videoOptions } from '../../../services/pipeline/video-options.ts';
import { sentence } from './formats.ts';

const { keepFrames: _, ...requested } = videoOptions;

/** Options available over HTTP; single frames cannot be downloaded there. */
export const requestOptions: Options = requested;

const { width: __, height: ___, ...inResponse } = requested;

/** The settings in a video object, where `size` combines width and height. */
export const responseOptions = inResponse;

type ResponseShape<O> = { [K in keyof JsonValuesOf<O>]: z.ZodType<JsonValuesOf<O>[K]> };

/** Schemas of option values in a response. */
export function responseFields<O extends Options>(options: O): ResponseShape<O> {
  const fields = Object.entries(options).map(([field, entry]) => [
    snakeCase(field),
    isOption(entry) ? responseField(entry) : z.strictObject(responseFields(entry)),
  ]);
  return Object.fromEntries(fields) as ResponseShape<O>;
}

function responseField({ kind, help, isOffered }: Option): z.ZodType {
  const described = kind.json.describe(sentence(help));
  return isOffered ? described.optional() : described;
}

/** The values of options, by the names in {@link responseFields}. */
export function responseValues<O extends Options>(options: O, values: object): JsonValuesOf<O> {
  return jsonValues(options, values, snakeCase) as JsonValuesOf<O>;
}

/** Request fields by option name; all except the prompt may be absent or null, which means the default. */
export function requestFields(): Record<string, z.ZodType> {
  return Object.fromEntries(
    listOptions(requestOptions).flatMap(({ option }) => [
      [option.name, requestField(option)],
      ...(option.synonyms ?? []).map((name) => [name, synonymField(option)]),
    ]),
  );
}

/** Description of the request fields, for programs that build forms. */
export const describedOption = z.strictObject({
  name: z.string(),
  description: z.string(),
  default: z.unknown().describe('null: no default, or random.'),
  response_field: z
    .string()
    .nullable()
    .describe(
      'Path of the value in a video object, such as `keyframes.steps`; null if it has none (`size` holds width and height).',
    ),
  schema: z.record(z.string(), z.unknown()).describe('JSON schema of the values.'),
});

export function describeOptions(preset: Preset): z.infer<typeof describedOption>[] {
  const { seed: _, ...defaults } = settingsDefaults(preset);
  const offered = listOptions(requestOptions).filter(({ option: { isOffered } }) => isOffered?.(preset) ?? true);
  return offered.map(({ option: { name, help, kind }, path }) => {
    const { $schema: _, ...schema } = z.toJSONSchema(kind.json);
    const value = jsonValue(valueAt(defaults, path)) ?? null;
    return {
      name,
      description: sentence(help),
      default: value,
      response_field: path[0]! in responseOptions ? fieldName(path) : null,
      schema,
    };
  });
}

function requestField(option: Option): z.ZodType {
  const { kind, help, name } = option;
  return name === 'prompt'
    ? kind.given.describe(sentence(help))
    : optionalValue(option)
        .nullish()
        .describe(`${sentence(help)} Default: ${defaultText(option)}.`);
}

function synonymField(option: Option): z.ZodType {
  return optionalValue(option).nullish().describe(`Another name of \`${option.name}\`.`);
}
