import { z } from 'zod';
import { choices, invalidField } from './errors.ts';

/**
 * A kind of value from outside. The only message of its schemas is what a value must be, worded to follow "must be".
 */
export interface Kind<T> {
  mustBe: string;
  /** The same for its text, if it differs. */
  textMustBe?: string;
  /** A value or its text: forms, headers and command lines hold only text. */
  given: z.ZodType<T>;
  /** A value in JSON responses and database rows; 64-bit numbers are strings. */
  json: z.ZodType<JsonOf<T>>;
}

/** The JSON representation of a value. */
export type JsonOf<T> = T extends bigint ? string : T;

/** Latest time: ten digits of seconds since 1970, in the year 2286. The database and every client can represent it. */
export const maxTimeSeconds = 9_999_999_999;

export const maxSeed = 2n ** 64n - 1n;

/** @param limits for documents alone: characters are counted where the text is checked, since JSON schema counts others. */
export function text(mustBe = 'text', limits: { minLength?: number; maxLength?: number } = {}): Kind<string> {
  return { mustBe, given: z.string(mustBe).meta(limits), json: z.string() };
}

export function wholeNumber(
  minimum: number,
  maximum: number,
  mustBe = `a whole number from ${minimum} to ${maximum}`,
): Kind<number> {
  const number = z.int(mustBe).min(minimum, mustBe).max(maximum, mustBe);
  const digits = z.string(mustBe).regex(/^-?\d{1,10}$/, mustBe);
  return { mustBe, given: numberOrText(number, digits, mustBe), json: number };
}

export function decimalNumber(minimum: number, maximum: number): Kind<number> {
  const mustBe = `a number from ${minimum} to ${maximum}`;
  const number = z.number(mustBe).min(minimum, mustBe).max(maximum, mustBe);
  const digits = z.string(mustBe).regex(/^-?\d{1,9}(\.\d{1,9})?$/, mustBe);
  return { mustBe, given: numberOrText(number, digits, mustBe), json: number };
}

export function truth(): Kind<boolean> {
  const mustBe = 'true or false';
  // Python's clients write True and False.
  const word = z.stringbool({ truthy: ['true'], falsy: ['false'], case: 'insensitive', error: mustBe });
  return { mustBe, given: z.union([z.boolean(mustBe), word], mustBe), json: z.boolean() };
}

export function choice<const T extends readonly [string, ...string[]]>(values: T): Kind<T[number]> {
  const mustBe = choices(values);
  const schema = z.enum(values, mustBe);
  return { mustBe, given: schema, json: schema as z.ZodType as z.ZodType<JsonOf<T[number]>> };
}

/** A time: a day (midnight UTC), an ISO 8601 time with its zone, or whole seconds since 1970. */
export function time(): Pick<Kind<Date>, 'mustBe' | 'given'> {
  const mustBe =
    'a time from 1970 to 2286, such as 2026-11-29, 2026-11-29T08:30:00Z or 1795939200 (seconds since 1970)';
  const day = z.iso.date(mustBe);
  const instant = z.iso.datetime({ offset: true, error: mustBe });
  const seconds = z.union(
    [z.int(mustBe).min(0, mustBe).max(maxTimeSeconds, mustBe), z.string().regex(/^\d{1,10}$/, mustBe)],
    mustBe,
  );
  const given = z.union(
    [
      z
        .union([day, instant], mustBe)
        .refine((text) => Date.parse(text) >= 0 && Date.parse(text) <= maxTimeSeconds * 1000, mustBe)
        .transform((text) => new Date(text)),
      seconds.transform((count) => new Date(Number(count) * 1000)),
    ],
    mustBe,
  );
  return { mustBe, given };
}

/** A whole number below 2⁶⁴; a string above 2⁵³ - 1, because JSON parsers round larger numbers. */
export function seed(): Kind<bigint> {
  const textMustBe = `a whole number from 0 to ${maxSeed}`;
  const mustBe = `${textMustBe}, quoted in JSON above ${Number.MAX_SAFE_INTEGER}`;
  const digits = z
    .string(mustBe)
    // Again in the second check: after a failed one, zod goes on to the next.
    .refine((given) => /^\d{1,20}$/.test(given) && BigInt(given) <= maxSeed, mustBe);
  const given = z.union([z.int(mustBe).min(0, mustBe), digits], mustBe).transform(BigInt);
  return { mustBe, textMustBe, given, json: z.string().regex(/^\d+$/) };
}

/** The seeds of several videos, which count up from the first. Throws INVALID_ARGUMENT if the last one would be too large. */
export function seedsFrom(field: string, first: bigint, count: number): bigint[] {
  const largest = maxSeed - BigInt(count - 1);
  if (first > largest) {
    throw invalidField(field, first, `at most ${largest} for ${count} videos, whose seeds count up`);
  }
  return Array.from({ length: count }, (_, index) => first + BigInt(index));
}

function numberOrText(number: z.ZodType<number, number>, digits: z.ZodType<string>, mustBe: string): z.ZodType<number> {
  return z.union([number, digits.transform(Number).pipe(number)], mustBe);
}
