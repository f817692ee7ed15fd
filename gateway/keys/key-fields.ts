import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { invalidField } from '../../services/kit/errors.ts';
import { type Kind, wholeNumber } from '../../services/kit/values.ts';
import type { ApiKey, ApiKeyChanges, NewApiKey } from './api-key.ts';
import { budgetsMustBe, formatBudget, parseBudget, readBudget } from './budget.ts';
import { type Scope, scopes } from './caller.ts';

const maxLimit = 1_000_000;
const maxPriority = 100;

/** A setting of a key. */
interface KeyField<T> {
  /** Its flag on the command line. */
  flag: string;
  /** Without what its kind says. */
  help: string;
  kind: Kind<T>;
  /** Value of a new key. */
  initial: T;
}

/** The settings of a key besides its name, over HTTP and on the command line. */
export const keyFields = {
  scopes: field('--scopes <list>', 'what it may do', scopeList(), ['read', 'create']),
  concurrentJobs: field('--concurrent-jobs <n>', 'maximum running jobs; 0: no limit', limit(), 4),
  queuedJobs: field('--queued-jobs <n>', 'maximum queued jobs; 0: no limit', limit(), 100),
  requestsPerMinute: field(
    '--requests-per-minute <n>',
    'maximum requests a minute, over all replicas; 0: no limit',
    limit(),
    600,
  ),
  maxSteps: field('--max-steps <n>', 'maximum denoising steps of a network in a job; 0: no limit', limit(), 100),
  maxFrames: field('--max-frames <n>', 'maximum frames of a video; 0: no limit', limit(), 0),
  maxPriority: field(
    '--max-priority <n>',
    'highest priority that its jobs may ask for',
    wholeNumber(-maxPriority, maxPriority),
    0,
  ),
  share: field('--share <n>', 'weight when jobs of several keys wait', wholeNumber(1, 1000), 1),
  budgets: field(
    '--budget <list>',
    'what it may use; seconds are time in the stages, days and months are in UTC',
    budgetList(),
    [],
  ),
} as const;

/** The name of a key. */
export const keyName: Kind<string> = nameKind();

type FieldName = keyof typeof keyFields;
type ValueOf<F> = F extends KeyField<infer T> ? T : never;

/** Values by field; the name, too. */
export type KeyValues = { name: string } & { [N in FieldName]: ValueOf<(typeof keyFields)[N]> };

/** The values of a key: 0 for limits that it does not have. */
export function keyValues({ name, scopes: allowed, limits, share = 1, budgets = [] }: NewApiKey): KeyValues {
  return {
    name,
    scopes: [...allowed],
    ...limits,
    maxSteps: limits.maxSteps ?? 0,
    maxFrames: limits.maxFrames ?? 0,
    maxPriority: limits.maxPriority ?? maxPriority,
    share,
    budgets: budgets.map(formatBudget),
  };
}

/** The changes that values stand for. */
export function keyChanges(values: Partial<KeyValues>): ApiKeyChanges {
  const { name, scopes: allowed, share, budgets, maxSteps, maxFrames, ...limits } = values;
  return {
    ...(name !== undefined && { name }),
    ...(allowed && { scopes: allowed }),
    ...(share !== undefined && { share }),
    ...(budgets && { budgets: budgets.map(parseBudget) }),
    limits: {
      ...limits,
      ...(maxSteps !== undefined && { maxSteps: maxSteps || undefined }),
      ...(maxFrames !== undefined && { maxFrames: maxFrames || undefined }),
    },
  };
}

/** A new key with these values; what is absent is as in {@link keyFields}. */
export function newKey(values: Partial<KeyValues> & { name: string }): NewApiKey {
  const initial = Object.fromEntries(Object.entries(keyFields).map(([name, each]) => [name, each.initial]));
  return keyChanges({ ...(initial as Omit<KeyValues, 'name'>), ...values }) as NewApiKey;
}

/** Throws INVALID_ARGUMENT naming the invalid field of a key. */
export function requireValidKey(key: NewApiKey | ApiKey): void {
  const { name, ...values } = keyValues(key);
  requireKind('name', keyName, name);
  for (const [field, value] of Object.entries(values)) {
    requireKind(field, keyFields[field as FieldName].kind, value);
  }
}

/** Whether two keys have the same name and settings; the order in lists does not count. */
export function isSameKey(one: ApiKey, other: ApiKey): boolean {
  const inOrder = (key: ApiKey) => {
    const { scopes: allowed, budgets, ...rest } = keyValues(key);
    return { ...rest, scopes: allowed.sort(), budgets: budgets.sort() };
  };
  return isDeepStrictEqual(inOrder(one), inOrder(other));
}

function requireKind(field: string, { given, mustBe }: Pick<Kind<unknown>, 'given' | 'mustBe'>, value: unknown): void {
  if (!given.safeParse(value).success) {
    throw invalidField(field, Array.isArray(value) ? value.join(',') : value, mustBe);
  }
}

function field<T>(flag: string, help: string, kind: Kind<T>, initial: NoInfer<T>): KeyField<T> {
  return { flag, help, kind, initial };
}

function limit(): Kind<number> {
  return wholeNumber(0, maxLimit);
}

function nameKind(): Kind<string> {
  const maxLength = 64;
  const mustBe = `1 to ${maxLength} characters, words with single spaces between them`;
  const words = /^[\p{L}\p{N}\p{P}\p{S}]+( [\p{L}\p{N}\p{P}\p{S}]+)*$/u;
  return { mustBe, given: z.string(mustBe).max(maxLength, mustBe).regex(words, mustBe), json: z.string() };
}

function scopeList(): Kind<Scope[]> {
  const mustBe = `one or more of ${scopes.join(', ')}`;
  const list = z.array(z.enum(scopes, mustBe), mustBe).min(1, { error: mustBe, abort: true });
  return listKind(
    mustBe,
    list.transform((names) => [...new Set(names)]),
    z.array(z.enum(scopes)),
  );
}

function budgetList(): Kind<string[]> {
  const list = z
    .array(z.string(budgetsMustBe), budgetsMustBe)
    .refine(areBudgets, { error: budgetsMustBe, abort: true });
  return listKind(budgetsMustBe, list, z.array(z.string()));
}

function areBudgets(texts: readonly string[]): boolean {
  const budgets = texts.map(readBudget);
  const kinds = new Set(budgets.map((budget) => `${budget?.unit}/${budget?.period}`));
  return budgets.every((budget) => budget !== undefined) && kinds.size === budgets.length;
}

/**
 * A list, or its text with commas in between, in which `none` is the empty list.
 *
 * @param list must stop at its first fault; otherwise the error would show the split list, not the text that was given
 */
function listKind<T extends string>(mustBe: string, list: z.ZodType<T[]>, json: z.ZodType<T[]>): Kind<T[]> {
  const split = z
    .string(mustBe)
    .transform((text) => (text === 'none' ? [] : text.split(',').map((each) => each.trim())));
  return {
    mustBe,
    given: z.union([split.pipe(list as z.ZodType<T[], string[]>), list], mustBe),
    json: json as Kind<T[]>['json'],
  };
}

/** How a value reads in help texts. */
export function initialText({ initial }: Pick<KeyField<unknown>, 'initial'>): string {
  return Array.isArray(initial) ? initial.join(',') || 'none' : String(initial);
}
