import { Status } from 'nice-grpc-common';
import { z } from 'zod';
import { FusionError } from '../../kit/errors.ts';
import { tellFaults, tryParse } from '../../kit/schema.ts';

/** A positive integer among a network's arguments. */
export const size = z.int().positive();

/**
 * Parses a network's constructor arguments. Throws FAILED_PRECONDITION naming every argument at fault.
 *
 * @param field where the arguments stand
 */
export function parseNetwork<T>(schema: z.ZodType<T>, field: string, given: unknown): T {
  const parsed = tryParse(schema, given);
  if ('value' in parsed) {
    return parsed.value;
  }
  const faults = parsed.faults.map((fault) => ({ ...fault, field: [field, fault.field].filter(Boolean).join('.') }));
  throw new FusionError(Status.FAILED_PRECONDITION, `this network can't be built: ${tellFaults(faults)}`, {
    reason: 'INVALID_NETWORK',
    field: faults[0]!.field,
  });
}
