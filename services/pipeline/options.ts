import { z } from 'zod';
import { invalidField } from '../kit/errors.ts';
import { fieldName } from '../kit/field-name.ts';
import { tryParse } from '../kit/schema.ts';
import type { JsonOf, Kind } from '../kit/values.ts';
import type { Preset } from './preset.ts';

/** A video setting, described once for every interface: HTTP, gRPC, command line, stored jobs and the page. */
export interface Option<T = unknown> {
  kind: Kind<T>;
  /** Its name in requests over HTTP. */
  name: string;
  /** What it sets, as a phrase. */
  help: string;
  /** The default in words. Absent if the preset decides. */
  fallback?: string;
  /** A value that clients of comparable servers send for the default; not accepted over gRPC. */
  absentValue?: number;
  /** Names used by clients of comparable servers. */
  synonyms?: readonly string[];
  /** Command line flag, such as `--steps <n>`; absent if it has none. */
  flag?: string;
  /** Numbers of its values in the contract, if it is an enum there. */
  wire?: Readonly<Record<NoInfer<T> & string, number>>;
  /** Throws INVALID_ARGUMENT for a value that the preset does not support. */
  check?(field: string, value: NoInfer<T>, preset: Preset): void;
  /** Whether a preset has the option; the values of others lack it. Default: all have it. */
  isOffered?(preset: Preset): boolean;
  /** Its value in jobs stored before the option existed. */
  before?: NoInfer<T>;
}

/** Describes an option. */
export function option<T>(described: Option<T>): Option<T> {
  return described;
}

/** The default of an option, in words. */
export function defaultText({ fallback = "the preset's", absentValue }: Option): string {
  return absentValue === undefined ? fallback : `${fallback}, also with ${absentValue}`;
}

/** What an option must be in a request that may leave it out, worded to follow "must be". */
export function optionalMustBe({ kind, absentValue, fallback }: Option, mustBe = kind.mustBe): string {
  return absentValue === undefined ? mustBe : `${mustBe}, or ${absentValue} for a ${fallback} one`;
}

/** The schema of an option in a request that may leave it out; `undefined` stands for the default. */
export function optionalValue<T>(option: Option<T>): z.ZodType<T | undefined> {
  const { kind, absentValue } = option;
  return absentValue === undefined
    ? kind.given
    : z.union(
        [z.literal([absentValue, String(absentValue)]).transform(() => undefined), kind.given],
        optionalMustBe(option),
      );
}

/** Options by the names of their fields in the contract's message, nested as its messages are. */
export interface Options {
  readonly [field: string]: Option | Options;
}

/** Complete values of options. */
export type ValuesOf<O> = { [K in keyof O]: O[K] extends Option<infer T> ? T : ValuesOf<O[K]> };

/** Defaults of options; one without a default is required. */
export type DefaultsOf<O> = { [K in keyof O]?: O[K] extends Option<infer T> ? T : DefaultsOf<O[K]> };

/** The values of options as JSON. */
export type JsonValuesOf<O> = {
  [K in keyof O as SnakeCase<K & string>]: O[K] extends Option<infer T> ? JsonOf<T> : JsonValuesOf<O[K]>;
};

type SnakeCase<S extends string> = S extends `${infer First}${infer Rest}`
  ? `${First extends Lowercase<First> ? First : `_${Lowercase<First>}`}${SnakeCase<Rest>}`
  : S;

export function isOption(entry: Option | Options): entry is Option {
  return 'kind' in entry && 'name' in entry;
}

/** Every option with the path of its field. */
export function listOptions(options: Options, path: readonly string[] = []): { option: Option; path: string[] }[] {
  return Object.entries(options).flatMap(([name, entry]) => {
    const inner = [...path, name];
    return isOption(entry) ? [{ option: entry, path: inner }] : listOptions(entry, inner);
  });
}

/** An object nested like the options, with the result of `map` for each; `undefined` is left out. */
export function mapOptions(
  options: Options,
  map: (option: Option, path: string[]) => unknown,
  { name = (field: string) => field, path = [] as string[] } = {},
): Record<string, unknown> {
  const entries = Object.entries(options).map(([field, entry]) => {
    const inner = [...path, field];
    return [name(field), isOption(entry) ? map(entry, inner) : mapOptions(entry, map, { name, path: inner })];
  });
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

/** The part of a value at a path; undefined if the path does not exist. */
export function valueAt(value: unknown, path: readonly string[]): unknown {
  return path.reduce((part, name) => (part as Record<string, unknown> | undefined | null)?.[name], value);
}

/**
 * The values of a message's options, with defaults where it has none; those that the preset lacks are left out. Throws INVALID_ARGUMENT naming the field, what
 * was given and what is allowed.
 *
 * @param prefix path of the message in the request, for errors
 */
export function resolveOptions<O extends Options>(
  options: O,
  message: object | undefined,
  defaults: DefaultsOf<O>,
  preset: Preset,
  prefix: readonly string[] = [],
): ValuesOf<O> {
  return mapOptions(options, (option, path) => {
    const field = fieldName([...prefix, ...path]);
    const given = readField(option, field, valueAt(message, path));
    if (option.isOffered && !option.isOffered(preset)) {
      if (given !== undefined) {
        throw invalidField(field, given, `absent: ${preset.name} does not have this option`);
      }
      return undefined;
    }
    const value = given ?? valueAt(defaults, path);
    if (value === undefined) {
      throw invalidField(field, undefined, option.kind.mustBe);
    }
    option.check?.(field, value, preset);
    return value;
  }) as ValuesOf<O>;
}

/** The contract's message of values; absent values are left out. */
export function toMessage(options: Options, values: object): object {
  return mapOptions(options, ({ wire }, path) => {
    const value = valueAt(values, path);
    return wire && value !== undefined ? wire[value as never] : value;
  });
}

/** Values as JSON holds them, by the names that `name` gives their fields. */
export function jsonValues(options: Options, values: object, name?: (field: string) => string): object {
  return mapOptions(options, (_, path) => jsonValue(valueAt(values, path)), name && { name });
}

export function jsonValue(value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}

/** The name of a value's number in the contract; undefined if unspecified or unknown. */
export function wireName(wire: Readonly<Record<string, number>>, number: unknown): string | undefined {
  return Object.keys(wire).find((name) => wire[name] === number);
}

/** A value, or undefined for proto3's encoding of an omitted field. */
function readField({ kind, wire }: Option, field: string, given: unknown): unknown {
  const isEnumLeftOut = wire !== undefined && given === 0;
  if (given === undefined || isEnumLeftOut) {
    return undefined;
  }
  const value = wire ? (wireName(wire, given) ?? given) : jsonValue(given);
  const parsed = tryParse(kind.given, value);
  if ('value' in parsed) {
    return parsed.value;
  }
  if (given === 0) {
    // For a number that cannot be 0, 0 means omitted.
    return undefined;
  }
  throw invalidField(field, given, kind.mustBe);
}
