import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Budget } from './budget.ts';
import type { CallerLimits, Scope } from './caller.ts';

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

/** A new key: its id, the text for its owner, and the hash to store. 256 random bits need no salt. */
export function newSecret(): { id: string; text: string; hash: Buffer } {
  const id = randomBytes(6).toString('hex');
  const secret = randomBytes(32).toString('base64url');
  return { id, text: `ff_${id}_${secret}`, hash: hashOf(secret) };
}

/** Whether a text has the form of a key's id. */
export function isKeyId(text: string): boolean {
  return /^[0-9a-f]{12}$/.test(text);
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

/** The hash to store of a secret. */
export function hashOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
