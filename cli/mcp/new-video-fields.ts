import { z } from 'zod';
import type { NewVideo } from '../../gateway/client/video-client.ts';
import { FusionError, renameField } from '../../services/kit/errors.ts';
import { fieldName } from '../../services/kit/field-name.ts';
import { wholeNumber } from '../../services/kit/values.ts';
import {
  defaultText,
  listOptions,
  mapOptions,
  optionalMustBe,
  optionalValue,
} from '../../services/pipeline/options.ts';
import { maxPriority } from '../../services/pipeline/priority.ts';
import { videoOptions } from '../../services/pipeline/video-options.ts';

/** Single frames are not among the files that can be downloaded here. */
const { keepFrames: _, prompt, ...optional } = videoOptions;
const offered = { prompt, ...optional };

/** The arguments that describe a new video: the options by their names over HTTP, and what concerns the job. */
export const newVideoFields = z.strictObject({
  [prompt.name]: prompt.kind.given.describe(`${prompt.help}; ${prompt.kind.mustBe}`),
  ...Object.fromEntries(
    listOptions(optional).map(({ option }) => {
      const help = `${option.help}; ${optionalMustBe(option)} (default: ${defaultText(option)})`;
      return [option.name, optionalValue(option).optional().describe(help)];
    }),
  ),
  model: z.string().optional().describe('id of a model of list_models (default: the first)'),
  priority: wholeNumber(-maxPriority, maxPriority)
    .given.optional()
    .describe(`videos of a higher priority start first; -${maxPriority} to ${maxPriority} (default: 0)`),
  idempotency_key: z.string().optional().describe('a repeated request with the same key returns the same video'),
});

/** The request for a video. */
export function toNewVideo({ model, priority, idempotency_key, ...given }: z.output<typeof newVideoFields>): NewVideo {
  const values: Record<string, unknown> = given;
  return {
    ...mapOptions(offered, ({ name }) => values[name]),
    ...(model !== undefined && { model }),
    ...(priority !== undefined && { priority }),
    ...(idempotency_key !== undefined && { idempotencyKey: idempotency_key }),
  } as NewVideo;
}

const names = new Map([
  ['client_id', 'idempotency_key'],
  ...listOptions(offered).map(({ option, path }): [string, string] => [fieldName(path), option.name]),
]);

/** An error of the gateway by the name of the argument at fault. */
export function byArgumentName(thrown: unknown): unknown {
  const field = thrown instanceof FusionError ? thrown.field : undefined;
  const name = field === undefined ? undefined : names.get(field);
  return name === undefined || name === field ? thrown : renameField(thrown as FusionError, name);
}
