import { LRUCache } from 'lru-cache';
import { Status } from 'nice-grpc-common';
import type { Sql, TransactionSql } from 'postgres';
import { FusionError, shown } from '../../services/kit/errors.ts';
import { answerWithin, ask } from '../database/ask.ts';
import { transact } from '../database/transact.ts';
import {
  type ApiKey,
  type ApiKeyChanges,
  hashOf,
  isKeyId,
  matches,
  type NewApiKey,
  newSecret,
  parseAuthorization,
  parseKey,
} from './api-key.ts';
import { ApiKeyRows, type KeyPage, type StoredKey } from './api-key-rows.ts';
import { anonymous, type Caller, scopes } from './caller.ts';
import { isSameKey, requireValidKey } from './key-fields.ts';

/**
 * How long cached keys are used without querying the database again, in milliseconds. Notifications of changes may get
 * lost: not every pooler forwards them.
 */
const cacheMilliseconds = 3_000;

/** How long looking up a key may take, in seconds: less than a request may wait in total. */
const lookUpSeconds = 4;

/** Maximum number of cached keys. */
const maxRemembered = 1_000;

const touchInterval = 60_000;

interface Remembered {
  key: StoredKey | undefined;
}

/** Done in the transaction that changes a key; gets the changed one. */
export type AlongWith = (sql: TransactionSql, key: ApiKey) => Promise<void>;

/** A long-running call. */
export interface Supervision {
  /** Aborts with UNAUTHENTICATED when the caller's key is revoked. */
  signal: AbortSignal;
  /** Must be called when the call ends. */
  end(): void;
}

/** The API keys. While the database has none, anyone may call: see {@link anonymous}. */
export class ApiKeys {
  readonly #sql: Sql;
  readonly #rows: ApiKeyRows;
  #remembered: LRUCache<string, Remembered>;
  readonly #touched = new LRUCache<string, true>({ max: maxRemembered, ttl: touchInterval });
  /** Whether a key has ever existed; never reverts to false. */
  #closed = false;
  #askedWhetherClosed = Number.NEGATIVE_INFINITY;
  readonly #supervised = new Map<AbortController, Caller>();
  #supervising: NodeJS.Timeout | undefined;

  constructor(sql: Sql) {
    this.#sql = sql;
    this.#rows = new ApiKeyRows(sql);
    this.#remembered = this.#emptyMemory();
  }

  /** Starts following changes that other processes make to the keys. */
  async follow(): Promise<void> {
    const onChange = () => {
      this.#closed = true;
      this.#forget();
    };
    // Also called after a reconnect, because notifications sent in between are lost.
    await ApiKeyRows.listen(this.#sql, onChange, () => this.#forget());
  }

  /**
   * Identifies the caller by the header (or metadata) `authorization` and counts the request against its rate limit.
   * Throws UNAUTHENTICATED, RESOURCE_EXHAUSTED with a retry delay, or UNAVAILABLE if the database is unreachable.
   */
  authenticate(authorization: string | undefined): Promise<Caller> {
    return ask(this.#sql, async () => {
      const given = parseAuthorization(authorization ?? '');
      const key = given && (await this.#find(given.id));
      if (!key || !matches(given.secret, key.hash)) {
        return await this.#authenticateUnknown(authorization);
      }
      requireInForce(key);
      await this.#requireRate(key);
      this.#touch(key.id);
      return { keyId: key.id, scopes: key.scopes, limits: key.limits };
    });
  }

  /** Throws UNAUTHENTICATED if the caller's key has been revoked since. */
  async requireInForce({ keyId }: Caller): Promise<void> {
    if (keyId === '') {
      await this.#authenticateUnknown(undefined);
      return;
    }
    const key = await this.#find(keyId);
    if (key) {
      requireInForce(key);
    }
  }

  /** Watches a long-running call, so that it ends when its key is revoked even if it is silent. */
  supervise(caller: Caller): Supervision {
    const revoked = new AbortController();
    this.#supervised.set(revoked, caller);
    this.#supervising ??= setInterval(() => this.#recheckCalls(), cacheMilliseconds).unref();
    return {
      signal: revoked.signal,
      end: () => {
        this.#supervised.delete(revoked);
        if (this.#supervised.size === 0) {
          clearInterval(this.#supervising);
          this.#supervising = undefined;
        }
      },
    };
  }

  /** Creates a key. Its text is not recoverable later. Throws INVALID_ARGUMENT. */
  async create(wanted: NewApiKey, also?: AlongWith): Promise<{ key: ApiKey; text: string }> {
    requireValidKey(wanted);
    const { id, text, hash } = newSecret();
    const key = await transact(this.#sql, async (sql) => {
      const inserted = await new ApiKeyRows(sql).insert(id, hash, wanted);
      await also?.(sql, inserted);
      return inserted;
    });
    this.#closed = true;
    return { key, text };
  }

  /**
   * Creates this key, with all scopes and without limits, unless a key exists or has existed; returns it if it was
   * created now.
   *
   * @param text as {@link newSecret} makes it
   */
  async createFirst(text: string): Promise<ApiKey | undefined> {
    const { id, secret } = parseKey(text)!;
    const { limits } = anonymous;
    const key = await this.#rows.insertFirst(id, hashOf(secret), { name: 'first key', scopes: [...scopes], limits });
    this.#closed ||= key !== undefined;
    return key;
  }

  /** Oldest first, including revoked keys. */
  list(page?: KeyPage): Promise<ApiKey[]> {
    return this.#rows.list(page);
  }

  /** Throws NOT_FOUND. */
  async get(id: string): Promise<ApiKey> {
    return requireFound(id, isKeyId(id) ? await this.#rows.find(id) : undefined);
  }

  /**
   * Changes a key, as soon as {@link revoke} would. Throws INVALID_ARGUMENT or NOT_FOUND.
   *
   * @param also not called if the key is so already
   */
  async update(id: string, { limits, ...changes }: ApiKeyChanges, also?: AlongWith): Promise<ApiKey> {
    const key = await transact(this.#sql, async (sql) => {
      const rows = new ApiKeyRows(sql);
      const found = requireFound(id, isKeyId(id) ? await rows.findForChange(id) : undefined);
      const wanted = { ...found, ...changes, limits: { ...found.limits, ...limits } };
      requireValidKey(wanted);
      if (isSameKey(found, wanted)) {
        return found;
      }
      const changed = requireFound(id, await rows.update(id, wanted));
      await also?.(sql, changed);
      return changed;
    });
    this.#forget();
    return key;
  }

  /**
   * Revokes a key: immediately here and in processes that {@link follow} changes, elsewhere in 3 s. One that was revoked
   * stays as it is. Throws NOT_FOUND.
   *
   * @param also gets the key as it was before
   */
  async revoke(id: string, also?: AlongWith): Promise<ApiKey> {
    const key = await transact(this.#sql, async (sql) => {
      const rows = new ApiKeyRows(sql);
      const found = requireFound(id, isKeyId(id) ? await rows.findForChange(id) : undefined);
      await also?.(sql, found);
      return found.revokedAt ? found : requireFound(id, await rows.revoke(id));
    });
    this.#forget();
    return key;
  }

  /** Whether a key exists or existed, in which case callers need one. */
  async any(): Promise<boolean> {
    if (!this.#closed && performance.now() - this.#askedWhetherClosed > cacheMilliseconds) {
      const asked = performance.now();
      // The notification of the first key may arrive before this answer.
      const isAny = await this.#rows.any();
      this.#closed ||= isAny;
      this.#askedWhetherClosed = asked;
    }
    return this.#closed;
  }

  /** A caller without a valid key. Clients of other servers always send some key, even if none is needed. */
  async #authenticateUnknown(authorization: string | undefined): Promise<Caller> {
    if (await this.any()) {
      throw unauthenticated(
        authorization ? 'Unknown API key' : 'An API key is needed: "authorization: Bearer ff_<id>_<secret>"',
      );
    }
    return anonymous;
  }

  /** A lookup in progress answers the callers that share it, not later ones. */
  #forget(): void {
    this.#remembered = this.#emptyMemory();
    this.#askedWhetherClosed = Number.NEGATIVE_INFINITY;
    this.#recheckCalls();
  }

  #recheckCalls(): void {
    for (const [revoked, caller] of this.#supervised) {
      this.requireInForce(caller).catch((error) => {
        // A database outage does not end calls that were already allowed.
        if (error instanceof FusionError && error.code === Status.UNAUTHENTICATED) {
          revoked.abort(error);
        }
      });
    }
  }

  #emptyMemory(): LRUCache<string, Remembered> {
    return new LRUCache({
      max: maxRemembered,
      ttl: cacheMilliseconds,
      // Requests share a lookup; after a failure, the next request starts another.
      fetchMethod: async (id: string) => ({ key: await answerWithin(lookUpSeconds, () => this.#rows.find(id)) }),
    });
  }

  async #find(id: string): Promise<StoredKey | undefined> {
    return (await this.#remembered.fetch(id))?.key;
  }

  async #requireRate({ id, limits: { requestsPerMinute } }: StoredKey): Promise<void> {
    const wait = requestsPerMinute === 0 ? 0 : await this.#rows.takeRequest(id, requestsPerMinute);
    if (wait > 0) {
      throw new FusionError(
        Status.RESOURCE_EXHAUSTED,
        `This API key may make ${requestsPerMinute} requests a minute; the next in ${wait.toFixed(1)} s`,
        { reason: 'RATE_LIMITED', retryAfterSeconds: wait },
      );
    }
  }

  #touch(id: string): void {
    if (!this.#touched.has(id)) {
      this.#touched.set(id, true);
      // Only informs operators which keys are in use, so no request fails because of it.
      this.#rows.touch(id).catch(() => this.#touched.delete(id));
    }
  }
}

function requireFound(id: string, key: StoredKey | undefined): StoredKey {
  if (!key) {
    throw new FusionError(Status.NOT_FOUND, `API key "${shown(id)}" not found`, {
      reason: 'NO_SUCH_KEY',
      field: 'id',
    });
  }
  return key;
}

function requireInForce({ revokedAt }: StoredKey): void {
  if (revokedAt) {
    throw unauthenticated(`This API key was revoked at ${revokedAt.toISOString()}`);
  }
}

function unauthenticated(message: string): FusionError {
  return new FusionError(Status.UNAUTHENTICATED, message, { reason: 'INVALID_API_KEY' });
}
