import { Status } from 'nice-grpc-common';
import type { z } from 'zod';
import { FusionError, invalidField } from '../../../services/kit/errors.ts';

/**
 * What a request holds, as its schema reads it. Throws INVALID_ARGUMENT naming the first field at fault, what was given
 * and what is allowed: every schema's own message is what is allowed.
 */
export function readFields<S extends z.ZodType>(schema: S, given: unknown): z.output<S> {
  const parsed = schema.safeParse(given, { reportInput: true });
  if (parsed.success) {
    return parsed.data;
  }
  const issue = parsed.error.issues[0]!;
  if (issue.code === 'unrecognized_keys') {
    const field = [...issue.path, issue.keys[0]!].join('.');
    throw new FusionError(Status.INVALID_ARGUMENT, `${shorten(field)}: there is no such field`, {
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
  throw new FusionError(Status.INVALID_ARGUMENT, `${field}: ${kind} given, allowed: ${issue.message}`, {
    reason: 'INVALID_FIELD',
    field,
  });
}

function shorten(name: string): string {
  return name.length > 80 ? `${name.slice(0, 77)}...` : name;
}
