import { z } from 'zod';

/*
 * The kinds of fields that requests have. A form has only texts, so that numbers and truth values are also taken as
 * texts. The message of each schema is what follows "must be".
 */

export function anyText(allowed = 'a text') {
  return z.string(allowed);
}

export function wholeNumber(minimum: number, maximum: number) {
  const error = `a whole number from ${minimum} to ${maximum}`;
  const number = z.int({ error }).min(minimum, error).max(maximum, error);
  const text = z.string(error).regex(/^-?\d{1,9}$/, error);
  return z.union([number, text.transform(Number).pipe(number)], { error });
}

export function decimalNumber(minimum: number, maximum: number) {
  const error = `a number from ${minimum} to ${maximum}`;
  const number = z.number({ error }).min(minimum, error).max(maximum, error);
  const text = z.string(error).regex(/^-?\d{1,9}(\.\d{1,9})?$/, error);
  return z.union([number, text.transform(Number).pipe(number)], { error });
}

export function truth() {
  const error = 'true or false';
  return z.union([z.boolean(error), z.enum(['true', 'false'], error).transform((text) => text === 'true')], { error });
}

export function choice<const T extends readonly [string, ...string[]]>(values: T) {
  return z.enum(values, `one of ${values.join(', ')}`);
}

/** A whole number below 2⁶⁴; above 2⁵³ only as a text, because JSON's readers round such numbers. */
export function seed() {
  const error = 'a whole number from 0 to 18446744073709551615, as a text where it is larger than 9007199254740991';
  const text = z
    .string(error)
    .regex(/^\d{1,20}$/, error)
    .refine((digits) => /^\d{1,20}$/.test(digits) && BigInt(digits) < 1n << 64n, error);
  return z.union([z.int(error).min(0, error), text], { error }).transform(BigInt);
}
