import { LRUCache } from 'lru-cache';
import { Status } from 'nice-grpc-common';
import type { Sql } from 'postgres';
import { FusionError } from '../../services/kit/errors.ts';
import { answerWithin, ask } from '../database/ask.ts';
import { type ApiKey, matches, type NewApiKey, newSecret, parseAuthorization, requireValid } from './api-key.ts';
import { ApiKeyRows, type StoredKey } from './api-key-rows.ts';
import { anonymous, type Caller } from './caller.ts';

/**
 * How long what is known of keys is believed without asking the database, should its notice of a change not come (a pooler
 * in between may not pass it on), milliseconds.
 */
const cacheMilliseconds = 3_000;

/** How long finding a key may take, seconds: less than a request waits in all. */
const lookUpSeconds = 4;

/** Keys remembered at once. */
const maxRemembered = 1_000;

const touchInterval = 60_000;

interface Remembered {
  key: StoredKey | undefined;
}

/** A call that goes on for long. */
export interface Supervision {
  /** Aborts with UNAUTHENTICATED when the caller's key is revoked. */
  signal: AbortSignal;
  /** To be called when the call is over. */
  end(): void;
}

/** The API keys. While the database has none, anyone may call: see {@link anonymous}. */
export class ApiKeys {
  readonly #sql: Sql;
  readonly #rows: ApiKeyRows;
  #remembered: LRUCache<string, Remembered>;
  readonly #touched = new LRUCache<string, true>({ max: maxRemembered, ttl: touchInterval });
  /** There have been keys; this never changes back. */
  #closed = false;
  #askedWhetherClosed = Number.NEGATIVE_INFINITY;
  readonly #supervised = new Map<AbortController, Caller>();
  #supervising: NodeJS.Timeout | undefined;

  constructor(sql: Sql) {
    this.#sql = sql;
    this.#rows = new ApiKeyRows(sql);
    this.#remembered = this.#emptyMemory();
  }

  /** From now on changes that other processes make to the keys are known here at once. */
  async follow(): Promise<void> {
    const onChange = () => {
      this.#closed = true;
      this.#forget();
    };
    // Also called after a connection was lost: what was notified meanwhile is gone.
    await this.#rows.listen(onChange, () => this.#forget());
  }

  /**
   * Who sends the header (or metadata) `authorization`, and that this one may ask once more now. Throws UNAUTHENTICATED,
   * RESOURCE_EXHAUSTED with when to come back, UNAVAILABLE when the database is away.
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

  /** Throws UNAUTHENTICATED when the caller's key was revoked since. */
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

  /** Watches over a call that may be silent for long: also then it ends when its key is revoked. */
  supervise(caller: Caller): Supervision {
    const revoked = new AbortController();
    this.#supervised.set(revoked, caller);
    this.#supervising ??= setInterval(() => this.#lookAfterCalls(), cacheMilliseconds).unref();
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

  /** Makes a key. Its text cannot be had again. Throws INVALID_ARGUMENT. */
  async create(wanted: NewApiKey): Promise<{ key: ApiKey; text: string }> {
    requireValid(wanted);
    const { id, text, hash } = newSecret();
    const key = await this.#rows.insert(id, hash, wanted);
    this.#closed = true;
    return { key, text };
  }

  /** The oldest first, revoked ones, too. */
  list(): Promise<ApiKey[]> {
    return this.#rows.list();
  }

  /** From now on the key opens nothing, here and where {@link follow} was called; elsewhere in 3 s. Throws NOT_FOUND. */
  async revoke(id: string): Promise<ApiKey> {
    const key = await this.#rows.revoke(id);
    if (!key) {
      throw new FusionError(Status.NOT_FOUND, `There is no API key "${id.slice(0, 80)}"`, {
        reason: 'NO_SUCH_KEY',
        field: 'id',
      });
    }
    this.#forget();
    return key;
  }

  /** Whether there is or was a key: then callers need one. */
  async any(): Promise<boolean> {
    if (!this.#closed && performance.now() - this.#askedWhetherClosed > cacheMilliseconds) {
      const asked = performance.now();
      // Notice of the first key may come before the answer.
      const isAny = await this.#rows.any();
      this.#closed ||= isAny;
      this.#askedWhetherClosed = asked;
    }
    return this.#closed;
  }

  /** A caller without a valid key. Clients of other servers always send some key, also where none is needed. */
  async #authenticateUnknown(authorization: string | undefined): Promise<Caller> {
    if (await this.any()) {
      throw unauthenticated(
        authorization ? 'There is no such API key' : 'An API key is needed: "authorization: Bearer ff_<id>_<secret>"',
      );
    }
    return anonymous;
  }

  /** A look-up that is under way answers those who started it, not later callers. */
  #forget(): void {
    this.#remembered = this.#emptyMemory();
    this.#askedWhetherClosed = Number.NEGATIVE_INFINITY;
    this.#lookAfterCalls();
  }

  #lookAfterCalls(): void {
    for (const [revoked, caller] of this.#supervised) {
      this.requireInForce(caller).catch((error) => {
        // An outage of the database does not end what had been allowed.
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
      // Requests share a look-up: those that come after it has failed begin another one.
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
      // It tells people which keys are in use; no request fails for it.
      this.#rows.touch(id).catch(() => this.#touched.delete(id));
    }
  }
}

function requireInForce({ revokedAt }: StoredKey): void {
  if (revokedAt) {
    throw unauthenticated(`This API key was revoked at ${revokedAt.toISOString()}`);
  }
}

function unauthenticated(message: string): FusionError {
  return new FusionError(Status.UNAUTHENTICATED, message, { reason: 'INVALID_API_KEY' });
}
