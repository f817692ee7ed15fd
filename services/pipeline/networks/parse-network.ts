import { Status } from 'nice-grpc-common';
import { z } from 'zod';
import { FusionError } from '../../kit/errors.ts';
import { describeFaults, tryParse } from '../../kit/schema.ts';

/** A positive integer among a network's arguments. */
export const size = z
  .int()
  .positive()
  .max(2 ** 20);

/** A number of layers or blocks: a graph has nodes for each. */
export const depth = z.int().positive().max(256);

/** A value for each level of a network, which halve the frame. */
export const perLevel = <T extends z.ZodType>(value: T) => z.array(value).min(1).max(16);

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
  throw new FusionError(Status.FAILED_PRECONDITION, `this network can't be built: ${describeFaults(faults)}`, {
    reason: 'INVALID_NETWORK',
    field: faults[0]!.field,
  });
}
