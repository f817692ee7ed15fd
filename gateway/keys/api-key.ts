import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { invalidField } from '../../services/kit/errors.ts';
import { type Budget, requireValidBudgets } from './budget.ts';
import { type CallerLimits, type Scope, scopes } from './caller.ts';

/** A key without its secret, which is shown once, at creation, and stored only as a hash. */
export interface ApiKey {
  /** 12 hexadecimal digits; part of the key's text. */
  id: string;
  name: string;
  scopes: Scope[];
  limits: CallerLimits;
  /** Weight of the key when jobs of several keys wait, 1 to 1000: twice the share, twice the work. */
  share: number;
  budgets: Budget[];
  createdAt: Date;
  /** Last use, to the minute; `undefined` if never. */
  lastUsedAt: Date | undefined;
  revokedAt: Date | undefined;
}

/** A key to create. Default share: 1; default budgets: none. */
export type NewApiKey = Pick<ApiKey, 'name' | 'scopes' | 'limits'> & Partial<Pick<ApiKey, 'share' | 'budgets'>>;

/** Changes to a key; absent values stay as they are. */
export type ApiKeyChanges = Partial<Pick<ApiKey, 'name' | 'scopes' | 'share' | 'budgets'>> & {
  limits?: Partial<CallerLimits>;
};

const keyPattern = /^ff_([0-9a-f]{12})_([\w-]{43})$/;
const maxNameLength = 64;
const maxLimit = 1_000_000;
const maxShare = 1000;

/** A new key: its id, the text for its owner, and the hash to store. 256 random bits need no salt. */
export function newSecret(): { id: string; text: string; hash: Buffer } {
  const id = randomBytes(6).toString('hex');
  const secret = randomBytes(32).toString('base64url');
  return { id, text: `ff_${id}_${secret}`, hash: hashOf(secret) };
}

/** Id and secret of a key's text; `undefined` for anything else. */
export function parseKey(text: string): { id: string; secret: string } | undefined {
  const [, id, secret] = keyPattern.exec(text) ?? [];
  return id && secret ? { id, secret } : undefined;
}

/** Id and secret of `Bearer ff_<id>_<secret>`, with the scheme in any case; `undefined` for anything else. */
export function parseAuthorization(authorization: string): { id: string; secret: string } | undefined {
  return parseKey(/^bearer +(\S+) *$/i.exec(authorization)?.[1] ?? '');
}

/** Compares in constant time. */
export function matches(secret: string, hash: Uint8Array): boolean {
  return timingSafeEqual(hashOf(secret), hash);
}

/** Throws INVALID_ARGUMENT naming the invalid field of a new key. */
export function requireValid({ name, scopes: asked, limits, share = 1, budgets = [] }: NewApiKey): void {
  if (name.length > maxNameLength || !/^[\p{L}\p{N}\p{P}\p{S}]+( [\p{L}\p{N}\p{P}\p{S}]+)*$/u.test(name)) {
    throw invalidField('name', name, `1 to ${maxNameLength} characters, words with single spaces between them`);
  }
  if (asked.length === 0 || asked.some((scope) => !scopes.includes(scope))) {
    throw invalidField('scopes', asked.join(','), `one or more of ${scopes.join(', ')}`);
  }
  if (!Number.isInteger(share) || share < 1 || share > maxShare) {
    throw invalidField('share', share, `a whole number from 1 to ${maxShare}`);
  }
  requireValidBudgets(budgets);
  const { maxPriority = 0, ...counts } = limits;
  if (!Number.isInteger(maxPriority) || Math.abs(maxPriority) > 100) {
    throw invalidField('maxPriority', maxPriority, 'a whole number from -100 to 100');
  }
  for (const [limit, value] of Object.entries(counts)) {
    if (value === undefined) {
      continue;
    }
    if (!Number.isInteger(value) || value < 0 || value > maxLimit) {
      throw invalidField(limit, value, `a whole number from 1 to ${maxLimit}, or 0 for no limit`);
    }
  }
}

/** The hash to store of a secret. */
export function hashOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
