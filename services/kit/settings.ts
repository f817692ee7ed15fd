import { readFileSync } from 'node:fs';
import { Status } from 'nice-grpc-common';
import { z } from 'zod';
import { isServerAddress, parseHostPort, serverAddressRule } from './addresses.ts';
import { either } from './either.ts';
import { FusionError } from './errors.ts';
import { reasonOf } from './reason-of.ts';

/** One environment variable of a process. */
export interface Setting<T> {
  /** Name of the environment variable. */
  name: string;
  /** What it is for, with its unit. */
  description: string;
  /** Parses the text; `undefined` means the variable is absent or empty, so every schema has a default. */
  schema: z.ZodType<T>;
  /** Hidden in errors; may also be read from the file named by the variable `<name>_FILE`. */
  isSecret?: true;
}

/** A group of settings, by the names of their values. */
export type Settings = Record<string, Setting<unknown>>;

/** The values of settings. */
export type Values<S extends Settings> = {
  [K in keyof S]: S[K] extends Setting<infer T> ? T : never;
};

/**
 * Reads every setting, or throws a single INVALID_ARGUMENT error that names each faulty variable, its value and what is
 * allowed.
 */
export function readSettings<S extends Settings>(
  settings: S,
  environment: Record<string, string | undefined> = process.env,
): Values<S> {
  const faults: string[] = [];
  const values = Object.entries(settings).map(([key, setting]) => {
    const { name, isSecret } = setting;
    const text = isSecret ? readSecret(name, environment, faults) : environment[name];
    const parsed = setting.schema.safeParse(text === '' ? undefined : text);
    if (!parsed.success) {
      const mustBe = parsed.error.issues.map((issue) => issue.message).join(', ');
      faults.push(`\`${name}\` ${mustBe}${isSecret ? '' : ` (got ${JSON.stringify(text)})`}`);
    }
    return [key, parsed.data];
  });
  if (faults.length > 0) {
    throw new FusionError(Status.INVALID_ARGUMENT, faults.join('; '), { reason: 'INVALID_SETTING' });
  }
  return Object.fromEntries(values) as Values<S>;
}

/** A secret's value, or the content of its file without the trailing newline. */
function readSecret(
  name: string,
  environment: Record<string, string | undefined>,
  faults: string[],
): string | undefined {
  const path = environment[`${name}_FILE`];
  if (!path) {
    return environment[name];
  }
  if (environment[name]) {
    faults.push(`set either ${name} or ${name}_FILE, not both`);
    return undefined;
  }
  try {
    return readFileSync(path, 'utf8').trimEnd();
  } catch (error) {
    faults.push(`\`${name}_FILE\` must be a readable file: ${reasonOf(error)} (got ${JSON.stringify(path)})`);
    return undefined;
  }
}

/** A whole number in a range. */
export function integer(fallback: number, minimum: number, maximum: number) {
  const message = `must be a whole number from ${minimum} to ${maximum}`;
  return z.coerce.number({ error: message }).int(message).min(minimum, message).max(maximum, message).default(fallback);
}

/** A number in a range. */
export function decimal(fallback: number, minimum: number, maximum: number) {
  const message = `must be a number from ${minimum} to ${maximum}`;
  return z.coerce.number({ error: message }).min(minimum, message).max(maximum, message).default(fallback);
}

/** Any text. */
export function text(fallback: string) {
  return z.string().default(fallback);
}

/**
 * Optional text.
 *
 * @param faultOf what the text must be, when it is something else
 */
export function checkedText(fallback: string, faultOf: (text: string) => string | undefined) {
  return text(fallback).check(({ value, issues }) => {
    const fault = value === '' ? undefined : faultOf(value);
    if (fault !== undefined) {
      issues.push({ code: 'custom', input: value, message: fault });
    }
  });
}

/**
 * An optional `host:port`.
 *
 * @param others words that are allowed too
 */
export function hostPort(fallback: string, ...others: string[]) {
  const fault = `must be ${either(['host:port', ...others])}`;
  return checkedText(fallback, (text) => (others.includes(text) || parseHostPort(text) ? undefined : fault));
}

/** The address at which a client calls a server. */
export function serverAddress(fallback: string) {
  return checkedText(fallback, (text) => (isServerAddress(text) ? undefined : `must be ${serverAddressRule}`));
}

/** One of several words. */
export function oneOf<const T extends readonly [string, ...string[]]>(values: T, fallback: T[number]) {
  return z.enum(values, { error: `must be one of ${values.join(', ')}` }).default(fallback as never);
}
