import { z } from 'zod';
import {
  fieldName,
  isOption,
  listOptions,
  type Option,
  type Options,
  snakeCase,
  type ToldOf,
  tellValue,
  toldValues,
  valueAt,
} from '../../../services/pipeline/options.ts';
import type { Preset } from '../../../services/pipeline/preset.ts';
import { settingsDefaults, videoOptions } from '../../../services/pipeline/video-options.ts';

const { keepFrames: _, ...requested } = videoOptions;

/** What a request over HTTP may set; single frames cannot be downloaded here. */
export const requestOptions: Options = requested;

const { width: __, height: ___, ...told } = requested;

/** What a video's object tells of its settings, besides its size. */
export const toldOptions = told;

type ToldShape<O> = { [K in keyof ToldOf<O>]: z.ZodType<ToldOf<O>[K]> };

/** The fields of an object that tells the values of options. */
export function toldFields<O extends Options>(options: O): ToldShape<O> {
  const fields = Object.entries(options).map(([field, entry]) => [
    snakeCase(field),
    isOption(entry) ? entry.kind.told.describe(sentence(entry.help)) : z.strictObject(toldFields(entry)),
  ]);
  return Object.fromEntries(fields) as ToldShape<O>;
}

/** The values of options by the names of {@link toldFields}. */
export function tellOptions<O extends Options>(options: O, values: object): ToldOf<O> {
  return toldValues(options, values, snakeCase) as ToldOf<O>;
}

/** The fields of a request, each by its option's name; all but the prompt may be absent or null, for the default. */
export function requestFields(): Record<string, z.ZodType> {
  return Object.fromEntries(
    listOptions(requestOptions).flatMap(({ option }) => [
      [option.name, requestField(option)],
      ...(option.synonyms ?? []).map((name) => [name, synonymField(option)]),
    ]),
  );
}

/** What a request may hold, for programs that build forms. */
export const describedOption = z.strictObject({
  name: z.string(),
  description: z.string(),
  default: z.unknown().describe('null: no default, or random.'),
  told_as: z
    .string()
    .nullable()
    .describe('Path of the value in a video, such as `keyframes.steps`. null: none; width and height are in its size.'),
  schema: z.record(z.string(), z.unknown()).describe('JSON schema of the values.'),
});

export function describeOptions(preset: Preset): z.infer<typeof describedOption>[] {
  const { seed: _, ...defaults } = settingsDefaults(preset);
  return listOptions(requestOptions).map(({ option: { name, help, kind }, path }) => {
    const { $schema: _, ...schema } = z.toJSONSchema(kind.told);
    const value = tellValue(valueAt(defaults, path)) ?? null;
    return {
      name,
      description: sentence(help),
      default: value,
      told_as: path[0]! in toldOptions ? fieldName(path) : null,
      schema,
    };
  });
}

function requestField({ kind, help, name, fallback = "the preset's" }: Option): z.ZodType {
  return name === 'prompt'
    ? kind.given.describe(sentence(help))
    : kind.given.nullish().describe(`${sentence(help)} Default: ${fallback}.`);
}

function synonymField({ kind, name }: Option): z.ZodType {
  return kind.given.nullish().describe(`Another name of \`${name}\`.`);
}

function sentence(help: string): string {
  return `${help[0]!.toUpperCase()}${help.slice(1)}.`;
}
