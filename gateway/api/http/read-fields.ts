import { Status } from 'nice-grpc-common';
import type { z } from 'zod';
import { FusionError, invalidField } from '../../../services/kit/errors.ts';

/**
 * A request's fields, parsed by their schema. Throws INVALID_ARGUMENT for the first field at fault; every schema's own
 * message says what the field must be.
 */
export function readFields<S extends z.ZodType>(schema: S, given: unknown): z.output<S> {
  const parsed = schema.safeParse(given, { reportInput: true });
  if (parsed.success) {
    return parsed.data;
  }
  const issue = parsed.error.issues[0]!;
  if (issue.code === 'unrecognized_keys') {
    const field = [...issue.path, issue.keys[0]!].join('.');
    throw new FusionError(Status.INVALID_ARGUMENT, `\`${shorten(field)}\` is not a known field`, {
      reason: 'UNKNOWN_FIELD',
      field: shorten(field),
    });
  }
  const field = issue.path.join('.') || 'body';
  const { input } = issue;
  if (input !== undefined && (input === null || typeof input !== 'object')) {
    throw invalidField(field, input, issue.message);
  }
  // Objects by their kind alone: their text may be anything, and endless.
  const kind = input === undefined ? 'nothing' : Array.isArray(input) ? 'a list' : 'an object';
  throw new FusionError(Status.INVALID_ARGUMENT, `\`${field}\` must be ${issue.message} (got ${kind})`, {
    reason: 'INVALID_FIELD',
    field,
  });
}

function shorten(name: string): string {
  return name.length > 80 ? `${name.slice(0, 77)}...` : name;
}
