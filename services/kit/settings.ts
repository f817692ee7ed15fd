import { readFileSync } from 'node:fs';
import { Status } from 'nice-grpc-common';
import { z } from 'zod';
import { FusionError } from './errors.ts';

/** One value that a process takes from its environment. */
export interface Setting<T> {
  /** Name of the environment variable. */
  name: string;
  /** What it is for, with its unit. */
  description: string;
  /** Parses the text; `undefined` stands for an absent or empty variable, so every schema has a default. */
  schema: z.ZodType<T>;
  /** Not told in errors; may also stand in the file that the variable `<name>_FILE` names. */
  isSecret?: true;
}

type Values<S extends Record<string, Setting<unknown>>> = {
  [K in keyof S]: S[K] extends Setting<infer T> ? T : never;
};

/**
 * Reads every setting, or throws one INVALID_ARGUMENT error that names each variable at fault, what it holds and what is
 * allowed.
 */
export function readSettings<S extends Record<string, Setting<unknown>>>(
  settings: S,
  environment: Record<string, string | undefined> = process.env,
): Values<S> {
  const faults: string[] = [];
  const values = Object.entries(settings).map(([key, setting]) => {
    const { name, isSecret } = setting;
    const text = isSecret ? readSecret(name, environment, faults) : environment[name];
    const parsed = setting.schema.safeParse(text === '' ? undefined : text);
    if (!parsed.success) {
      const given = isSecret ? `${name}, which is secret` : `${name}="${text}"`;
      faults.push(`${given}: ${parsed.error.issues.map((issue) => issue.message).join(', ')}`);
    }
    return [key, parsed.data];
  });
  if (faults.length > 0) {
    throw new FusionError(Status.INVALID_ARGUMENT, faults.join('; '), { reason: 'INVALID_SETTING' });
  }
  return Object.fromEntries(values) as Values<S>;
}

/** A secret's value, or what its file holds but for the line's end. */
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
    faults.push(`${name}_FILE="${path}": must be a readable file (${(error as Error).message})`);
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

/** One of a few words. */
export function oneOf<const T extends readonly [string, ...string[]]>(values: T, fallback: T[number]) {
  return z.enum(values, { error: `must be one of ${values.join(', ')}` }).default(fallback as never);
}
