import type { z } from 'zod';
import { invalidField, unknownField } from '../../../services/kit/errors.ts';
import { withoutNulls } from '../../../services/kit/null-fields.ts';
import { tryParse } from '../../../services/kit/schema.ts';

/** Parses a request's fields. Throws INVALID_ARGUMENT for the first invalid field. */
export function readFields<S extends z.ZodType>(schema: S, given: unknown): z.output<S> {
  const parsed = tryParse(schema, withoutNulls(schema, given));
  if ('value' in parsed) {
    return parsed.value;
  }
  const { field, given: value, mustBe } = parsed.faults[0]!;
  throw mustBe === undefined ? unknownField(field) : invalidField(field || 'body', value, mustBe);
}
