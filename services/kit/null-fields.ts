import { z } from 'zod';

/**
 * Leaves out every null of an object that stands for an absent field: of an optional field, and of a name that the schema
 * does not have, because many client libraries send all the fields they know. A required field keeps its null.
 */
export function withoutNulls(schema: z.ZodType, given: unknown): unknown {
  const kind = unwrapped(schema);
  if (kind instanceof z.ZodArray && Array.isArray(given)) {
    return given.map((each) => withoutNulls(kind.element as z.ZodType, each));
  }
  if (!(kind instanceof z.ZodObject) || typeof given !== 'object' || given === null || Array.isArray(given)) {
    return given;
  }
  const shape: Record<string, z.ZodType> = kind.shape;
  const fields = Object.entries(given).flatMap(([name, value]) => {
    const field = Object.hasOwn(shape, name) ? shape[name]! : z.unknown();
    const isAbsent = value === null && field.safeParse(undefined).success;
    return isAbsent ? [] : [[name, withoutNulls(field, value)] as const];
  });
  return Object.fromEntries(fields);
}

function unwrapped(schema: z.ZodType): z.ZodType {
  const isWrapper =
    schema instanceof z.ZodOptional || schema instanceof z.ZodNullable || schema instanceof z.ZodDefault;
  return isWrapper ? unwrapped(schema.unwrap() as z.ZodType) : schema;
}
