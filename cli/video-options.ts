import { type Command, Option as Flag } from 'commander';
import type { NewVideo } from '../gateway/client/video-client.ts';
import { FusionError, invalidField, renameField } from '../services/kit/errors.ts';
import { fieldName } from '../services/kit/field-name.ts';
import { tryParse } from '../services/kit/schema.ts';
import { choice, type Kind, wholeNumber } from '../services/kit/values.ts';
import { type AskedLora, parseLoraText } from '../services/pipeline/loras.ts';
import {
  type DefaultsOf,
  defaultText,
  listOptions,
  mapOptions,
  type Option,
  type Options,
  optionalMustBe,
  optionalValue,
} from '../services/pipeline/options.ts';
import { maxPriority } from '../services/pipeline/priority.ts';
import { videoOptions } from '../services/pipeline/video-options.ts';
import { parseDeadline } from './deadline.ts';

/** Options from the command line, by commander's names. */
export type GivenOptions = { readonly [name: string]: unknown };

/** The options of `generate` besides the video's settings. */
export interface GenerateOptions extends GivenOptions {
  output: string;
  frames?: string;
  size?: string;
  preset: string;
  address?: string;
  deadline?: string;
  priority?: string;
  /** Of the gateway at the address. */
  model?: string;
  lora?: AskedLora[];
  /** A picture file, or a video's id with the number of a frame. */
  image?: string;
  /** A clip, or a folder of numbered pictures. */
  keyframes?: string;
  metadata?: string[];
  json?: boolean;
}

/** How a video is made, whatever it shows: the options of `evaluate`. */
const { prompt: _, negativePrompt: __, seed: ___, ...sampledOptions } = videoOptions;

/** Adds the flags of all video options. */
export function addVideoOptions(command: Command): Command {
  return addFlags(command, videoOptions);
}

/** Adds the flags for how a video is made, whatever it shows. */
export function addSamplingOptions(command: Command): Command {
  return addFlags(command, sampledOptions);
}

/**
 * The request for these options. Only values that cannot be sent are rejected here (a word for a number, a seed beyond 64
 * bits); the gateway checks them against its preset. Throws INVALID_ARGUMENT naming the option.
 */
export function toNewVideo(prompt: string, options: GenerateOptions): NewVideo {
  return {
    ...readFlags(videoOptions, options),
    ...(options.size !== undefined && parseSize(options.size)),
    format: options.output.endsWith('.webp') ? 'webp' : 'mp4',
    prompt,
    keepFrames: options.frames !== undefined,
    ...(options.deadline !== undefined && { deadline: parseDeadline(options.deadline) }),
    ...(options.priority !== undefined && {
      priority: parseFlag('--priority', wholeNumber(-maxPriority, maxPriority), options.priority),
    }),
    ...(options.model !== undefined && { model: options.model }),
    ...(options.lora && {
      lora: options.lora.map(({ name, scale }) => ({ name, ...(scale !== undefined && { scale }) })),
    }),
    ...(options.metadata && { metadata: parseMetadata(options.metadata) }),
  };
}

/** The sampling part of a request. Throws as {@link toNewVideo}. */
export function toSampling(options: GivenOptions): DefaultsOf<typeof sampledOptions> {
  return readFlags(sampledOptions, options);
}

/** The sampling flags that are given, by their long names, and what they set. */
export function givenSampling(options: GivenOptions): { flag: string; name: string; value: unknown }[] {
  return [...byFlag(sampledOptions).keys()].flatMap((text) => {
    const flag = new Flag(text);
    const name = flag.attributeName();
    return options[name] === undefined ? [] : [{ flag: flag.long!, name, value: options[name] }];
  });
}

/** An error about a video option, by the flag that sets it. */
export function byFlagName(thrown: unknown): unknown {
  if (!(thrown instanceof FusionError) || thrown.field === undefined) {
    return thrown;
  }
  const { field } = thrown;
  if (field === 'width' || field === 'height') {
    return renameField(thrown, '--size', `The ${field} of \`--size\``);
  }
  if (/^keyframes(\.(files|video_id))?$/.test(field)) {
    return renameField(thrown, '--keyframes');
  }
  if (field.startsWith('input_reference')) {
    return renameField(thrown, '--image');
  }
  const [outer = ''] = field.split('.');
  if (['deadline', 'model', 'lora', 'priority', 'metadata'].includes(outer)) {
    return renameField(thrown, `--${outer}`);
  }
  if (field === 'webhook.url' || field === 'webhook.events') {
    return renameField(thrown, field === 'webhook.url' ? '--webhook' : '--webhook-events');
  }
  const flag = listOptions(videoOptions).find(({ path }) => fieldName(path) === field)?.option.flag;
  return flag === undefined ? thrown : renameField(thrown, new Flag(flag).long!);
}

export function parseSize(text: string): { width: number; height: number } {
  const match = /^(\d{1,5})x(\d{1,5})$/i.exec(text);
  const [width = 0, height = 0] = match ? [Number(match[1]), Number(match[2])] : [];
  if (width === 0 || height === 0) {
    throw invalidField('--size', text, 'WIDTHxHEIGHT in pixels, such as 64x64');
  }
  return { width, height };
}

/** A value on the command line. Throws INVALID_ARGUMENT naming the flag. */
export function parseFlag<T>(flag: string, kind: Pick<Kind<T>, 'mustBe' | 'textMustBe' | 'given'>, text: unknown): T {
  const parsed = tryParse(kind.given, text);
  if ('value' in parsed) {
    return parsed.value;
  }
  throw invalidField(flag, text, kind.textMustBe ?? kind.mustBe);
}

/** A flag for the LoRAs of a served version, which may be given several times. */
export function loraFlag(): Flag {
  const add = (text: string, before: readonly AskedLora[] = []) => {
    const parsed = parseLoraText(text);
    if (parsed === undefined) {
      throw invalidField('--lora', text, 'name[:scale], such as ink:0.8');
    }
    return [...before, ...parsed];
  };
  const help = 'a LoRA of the gateway at --address, as `models` of its API list them; may be repeated (default: none)';
  return new Flag('--lora <name[:scale]>', help).argParser(add);
}

/** A flag for facts, which may be given several times. */
export function metadataFlag(description: string): Flag {
  const add = (text: string, before: string[] | undefined) => [...(before ?? []), text];
  return new Flag('--metadata <name=value>', `${description}; may be repeated`).argParser(add);
}

/** Facts given as `name=value`. Throws INVALID_ARGUMENT. */
export function parseMetadata(texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const equals = text.indexOf('=');
      if (equals < 1) {
        throw invalidField('--metadata', text, 'name=value');
      }
      return [text.slice(0, equals), text.slice(equals + 1)];
    }),
  );
}

/** A flag with a fixed list of values. */
export function choiceFlag(flags: string, description: string, values: readonly [string, ...string[]]): Flag {
  const flag = new Flag(flags, description).choices(values);
  // Instead of commander's own error.
  return flag.argParser((text) => parseFlag(flag.long!, choice(values), text));
}

function addFlags(command: Command, options: Options): Command {
  for (const [flag, group] of byFlag(options)) {
    const { kind } = group[0]!;
    const help = joinHelp(group.map((each) => each.help));
    command.option(flag, `${help}; ${kind.textMustBe ?? kind.mustBe} (default: ${defaultText(group[0]!)})`);
  }
  return command;
}

/** "solver for the keyframes" and "solver for the interpolated frames" become one phrase. */
function joinHelp(helps: readonly string[]): string {
  const [first, ...others] = helps as [string, ...string[]];
  const words = first.split(' ');
  const shared = words.findIndex((word, index) => others.some((other) => other.split(' ')[index] !== word));
  return [first, ...others.map((other) => other.split(' ').slice(shared).join(' '))].join(' and ');
}

/** Options that share a flag take the same value. */
function byFlag(options: Options): Map<string, Option[]> {
  const flags = new Map<string, Option[]>();
  for (const { option } of listOptions(options)) {
    if (option.flag) {
      flags.set(option.flag, [...(flags.get(option.flag) ?? []), option]);
    }
  }
  return flags;
}

function readFlags<O extends Options>(options: O, given: GivenOptions): DefaultsOf<O> {
  return mapOptions(options, (option) => {
    const { flag } = option;
    const parsed = flag && new Flag(flag);
    const text = parsed && given[parsed.attributeName()];
    return parsed && text !== undefined
      ? parseFlag(
          parsed.long!,
          { mustBe: optionalMustBe(option, option.kind.textMustBe), given: optionalValue(option) },
          text,
        )
      : undefined;
  }) as DefaultsOf<O>;
}
