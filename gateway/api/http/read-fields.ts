import { z } from 'zod';
import { invalidField, unknownField } from '../../../services/kit/errors.ts';
import { withoutNulls } from '../../../services/kit/null-fields.ts';
import { tryParse } from '../../../services/kit/schema.ts';
import { nestFields } from './form-fields.ts';

/** Parses a request's fields. Throws INVALID_ARGUMENT for the first invalid field. */
export function readFields<S extends z.ZodType>(schema: S, given: unknown): z.output<S> {
  const parsed = tryParse(schema, withoutNulls(schema, given));
  if ('value' in parsed) {
    return parsed.value;
  }
  const { field, given: value, mustBe } = parsed.faults[0]!;
  throw mustBe === undefined ? unknownField(field) : invalidField(field || 'body', value, mustBe);
}

/** Azure's clients send it with every request. */
const ignoredParameter = 'api-version';

/**
 * Parses the parameters of a query. An unknown one would be taken for a filter that had been applied: it is refused, with
 * the names that there are.
 */
export function readQuery<S extends z.ZodObject>(schema: S, given: Readonly<Record<string, unknown>>): z.output<S> {
  const { [ignoredParameter]: _, ...query } = given;
  const fields = nestFields(query);
  const unknown = Object.keys(fields).find((name) => !Object.hasOwn(schema.shape, name));
  if (unknown !== undefined) {
    throw unknownField(unknown, Object.entries(schema.shape).map(parameterName));
  }
  return readFields(schema, fields);
}

function parameterName([name, schema]: [string, z.ZodType]): string {
  const inner = schema instanceof z.ZodOptional ? schema.unwrap() : schema;
  return inner instanceof z.ZodRecord ? `${name}[…]` : name;
}
