import { z } from 'zod';
import { either } from './either.ts';
import { choices, describe, unknownField } from './errors.ts';

/** A fault in one part of a value. */
export interface SchemaFault {
  /** Path of the part, such as `webhook.url`; empty for the value itself. */
  field: string;
  given: unknown;
  /** What the part must be, worded to follow "must be", or a complete "must …"; absent for an unknown field. */
  mustBe?: string;
}

/**
 * Parses a value with its schema. Throws an error that names every faulty part, what it must be and what it is, in the
 * schema's own words if it has any.
 */
export function parseSchema<S extends z.ZodType>(schema: S, given: unknown): z.output<S> {
  const parsed = tryParse(schema, given);
  if ('value' in parsed) {
    return parsed.value;
  }
  throw new Error(describeFaults(parsed.faults));
}

/** Describes the first faults. */
export function describeFaults(faults: readonly SchemaFault[]): string {
  const shown = faults.slice(0, maxShown).map(describeFault);
  const more = faults.length - shown.length;
  return `${shown.join('; ')}${more > 0 ? `; and ${more} more` : ''}`;
}

function describeFault({ field, given, mustBe }: SchemaFault): string {
  if (mustBe === undefined) {
    return unknownField(field).message;
  }
  const name = field === '' ? 'it' : `\`${field}\``;
  return mustBe.startsWith('must ') ? `${name} ${mustBe}` : `${name} must be ${mustBe} (got ${describe(given)})`;
}

const inOurWords = {
  reportInput: true,
  error: (issue: z.core.$ZodRawIssue) => mustBe(issue as z.core.$ZodIssue),
};

/** Parses a value with its schema, or returns every fault. */
export function tryParse<S extends z.ZodType>(
  schema: S,
  given: unknown,
): { value: z.output<S> } | { faults: SchemaFault[] } {
  const hidden = hiddenField(given);
  if (hidden) {
    return { faults: [{ field: hidden, given: undefined }] };
  }
  const parsed = schema.safeParse(given, inOurWords);
  return parsed.success ? { value: parsed.data } : { faults: parsed.error.issues.flatMap(toFaults) };
}

/** A value that is parsed with the schema that `choose` picks for it; its faults are that schema's alone. */
export function chosenSchema<S extends z.ZodType>(choose: (given: unknown) => S) {
  return z.unknown().transform((given, context): z.output<S> => {
    const parsed = choose(given).safeParse(given, inOurWords);
    if (parsed.success) {
      return parsed.data;
    }
    for (const issue of parsed.error.issues) {
      context.addIssue({ ...issue });
    }
    return z.NEVER;
  });
}

/** How deep below a value a fault of its names is looked for. */
const maxDepth = 4;

/** The path of a field named `__proto__`, which would be left out of a record without a word. */
function hiddenField(value: unknown, depth = 0): string | undefined {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || depth > maxDepth) {
    return undefined;
  }
  for (const [name, inner] of Object.entries(value)) {
    const path = name === '__proto__' ? '' : hiddenField(inner, depth + 1);
    if (path !== undefined) {
      return path === '' ? name : `${name}.${path}`;
    }
  }
  return undefined;
}

/** Maximum number of faults in an error: a wrong file may have thousands. */
const maxShown = 10;

function toFaults(issue: z.core.$ZodIssue): SchemaFault[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ field: [...issue.path, key].join('.'), given: undefined }));
  }
  return [{ field: issue.path.join('.'), given: issue.input, mustBe: issue.message }];
}

const typeWords: Record<string, string> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  tuple: 'a list',
  object: 'an object',
  record: 'an object',
};

/** What a schema without its own message requires. */
function mustBe(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return typeWords[issue.expected] ?? `of type ${issue.expected}`;
    case 'too_small':
      return amount(issue.inclusive ? 'at least' : 'more than', issue.minimum, issue.origin);
    case 'too_big':
      return amount(issue.inclusive ? 'at most' : 'less than', issue.maximum, issue.origin);
    case 'not_multiple_of':
      return `a multiple of ${issue.divisor}`;
    case 'invalid_value':
      return choices(issue.values.map(String));
    case 'invalid_union':
      return either(new Set(issue.errors.map(([first]) => first?.message ?? 'something else')));
    case 'invalid_format':
      return issue.pattern === undefined ? `text in the format ${issue.format}` : `text that matches ${issue.pattern}`;
    default:
      return 'valid';
  }
}

function amount(bound: string, limit: number | bigint, origin: string): string {
  if (origin === 'array') {
    return `a list of ${bound} ${limit} ${limit === 1 ? 'item' : 'items'}`;
  }
  const unit = origin === 'string' ? ' characters' : '';
  return `${bound} ${limit}${unit}`;
}
