import type { ISql, PendingQuery, Sql } from 'postgres';
import type { ApiKey, NewApiKey } from './api-key.ts';
import { formatBudget, parseBudget } from './budget.ts';
import type { Scope } from './caller.ts';

/** A stored key. */
export type StoredKey = ApiKey & { hash: Uint8Array };

interface Row {
  id: string;
  name: string;
  secret_hash: Uint8Array;
  scopes: Scope[];
  concurrent_jobs: number;
  queued_jobs: number;
  requests_per_minute: number;
  max_steps: number | null;
  max_frames: number | null;
  max_priority: number | null;
  share: number;
  budgets: string[];
  created_at: Date;
  last_used_at: Date | null;
  revoked_at: Date | null;
}

/** Which keys to list, oldest first. */
export interface KeyPage {
  /** Default: 10,000. */
  limit?: number;
  /** Id of a key: only later ones. */
  after?: string | undefined;
  /** Default: revoked ones, too. */
  onlyInForce?: boolean;
}

/** Channel on which the database notifies replicas that a key was created, changed or revoked. */
const channel = 'fusionframes_api_keys';

/** Maximum number of keys in a list. */
const maxListed = 10_000;

/** The table of keys. Rows of revoked keys remain: once a key has existed, callers need one. */
export class ApiKeyRows {
  readonly #sql: ISql;

  constructor(sql: ISql) {
    this.#sql = sql;
  }

  async insert(id: string, hash: Uint8Array, key: NewApiKey): Promise<StoredKey> {
    return (await this.#insert(id, hash, key, this.#sql``))!;
  }

  /** Inserts a key only if the table is empty. Replicas that start together with the same key insert it once. */
  insertFirst(id: string, hash: Uint8Array, key: NewApiKey): Promise<StoredKey | undefined> {
    return this.#insert(id, hash, key, this.#sql`where not exists (select 1 from api_keys) on conflict do nothing`);
  }

  async #insert(
    id: string,
    hash: Uint8Array,
    { name, scopes, limits, share = 1, budgets = [] }: NewApiKey,
    condition: PendingQuery<Row[]>,
  ): Promise<StoredKey | undefined> {
    const [row] = await this.#sql<Row[]>`
      with key as (
        insert into api_keys (id, name, secret_hash, scopes, concurrent_jobs, queued_jobs, requests_per_minute,
          max_steps, max_frames, max_priority, share, budgets)
        select ${id}, ${name}, ${hash}::bytea, ${scopes}::text[], ${limits.concurrentJobs}::int,
          ${limits.queuedJobs}::int, ${limits.requestsPerMinute}::int, ${limits.maxSteps ?? null}::int,
          ${limits.maxFrames ?? null}::int, ${limits.maxPriority ?? null}::int, ${share}::int,
          ${budgets.map(formatBudget)}::text[]
        ${condition}
        returning *
      )
      select key.*, pg_notify(${channel}, '') from key`;
    return row && toKey(row);
  }

  async find(id: string): Promise<StoredKey | undefined> {
    const [row] = await this.#sql<Row[]>`select * from api_keys where id = ${id}`;
    return row && toKey(row);
  }

  /** The same, and no other transaction changes it until this one ends. */
  async findForChange(id: string): Promise<StoredKey | undefined> {
    const [row] = await this.#sql<Row[]>`select * from api_keys where id = ${id} for update`;
    return row && toKey(row);
  }

  async list({ limit = maxListed, after, onlyInForce = false }: KeyPage = {}): Promise<StoredKey[]> {
    const rows = await this.#sql<Row[]>`
      select * from api_keys
      where ${onlyInForce ? this.#sql`revoked_at is null` : this.#sql`true`}
        ${after === undefined ? this.#sql`` : this.#sql`and (created_at, id) > (select created_at, id from api_keys where id = ${after})`}
      order by created_at, id limit ${limit}`;
    return rows.map(toKey);
  }

  async any(): Promise<boolean> {
    return (await this.#sql`select 1 from api_keys limit 1`).length > 0;
  }

  /** Replaces everything that can change; `undefined` if there is no such key. */
  async update(id: string, { name, scopes, limits, share, budgets }: ApiKey): Promise<StoredKey | undefined> {
    const [row] = await this.#sql<Row[]>`
      with key as (
        update api_keys set name = ${name}, scopes = ${scopes}::text[], concurrent_jobs = ${limits.concurrentJobs},
          queued_jobs = ${limits.queuedJobs}, requests_per_minute = ${limits.requestsPerMinute},
          max_steps = ${limits.maxSteps ?? null}, max_frames = ${limits.maxFrames ?? null},
          max_priority = ${limits.maxPriority ?? null}, share = ${share},
          budgets = ${budgets.map(formatBudget)}::text[]
        where id = ${id} returning *
      )
      select key.*, pg_notify(${channel}, '') from key`;
    return row && toKey(row);
  }

  async revoke(id: string): Promise<StoredKey | undefined> {
    const [row] = await this.#sql<Row[]>`
      with key as (update api_keys set revoked_at = now() where id = ${id} returning *)
      select key.*, pg_notify(${channel}, '') from key`;
    return row && toKey(row);
  }

  /** Calls `onChange` after every change by any process, and `onListening` after every (re)connect. */
  static async listen(sql: Sql, onChange: () => void, onListening: () => void): Promise<void> {
    await sql.listen(channel, onChange, onListening);
  }

  /** Records that a key was used, once a minute across all replicas. */
  async touch(id: string): Promise<void> {
    await this.#sql`
      update api_keys set last_used_at = date_trunc('minute', now())
      where id = ${id} and (last_used_at is null or last_used_at < date_trunc('minute', now()))`;
  }

  /**
   * Takes a request out of a key's token bucket, which holds a minute's requests and refills steadily.
   *
   * @returns seconds to wait; 0 if the request may proceed
   */
  async takeRequest(id: string, perMinute: number): Promise<number> {
    const taken = await this.#sql`
      insert into request_rates as rate (key_id, tokens, refilled_at)
      values (${id}, ${perMinute - 1}, clock_timestamp())
      on conflict (key_id) do update set tokens = ${this.#tokens(perMinute)} - 1, refilled_at = clock_timestamp()
      where ${this.#tokens(perMinute)} >= 1
      returning 1`;
    if (taken.length > 0) {
      return 0;
    }
    const [row] = await this.#sql<{ tokens: number }[]>`
      select ${this.#tokens(perMinute)} as tokens from request_rates as rate where key_id = ${id}`;
    return (Math.max(0, 1 - (row?.tokens ?? 0)) * 60) / perMinute || 60 / perMinute;
  }

  /** The bucket counts as full if it was last filled in the future: the clock was set back, and it would not refill. */
  #tokens(perMinute: number) {
    const seconds = this.#sql`extract(epoch from clock_timestamp() - rate.refilled_at)`;
    return this.#sql`(case when ${seconds} < -60 then ${perMinute}::float8
      else least(${perMinute}::float8, rate.tokens + greatest(0, ${seconds}) * ${perMinute}::float8 / 60) end)`;
  }
}

/** Whether a database that may not have a schema yet has, or had, keys. */
export async function hasKeys(sql: Sql): Promise<boolean> {
  const [{ exists }] = await sql<[{ exists: boolean }]>`select to_regclass('api_keys') is not null as exists`;
  return exists && new ApiKeyRows(sql).any();
}

function toKey(row: Row): StoredKey {
  return {
    id: row.id,
    name: row.name,
    hash: row.secret_hash,
    scopes: row.scopes,
    limits: {
      concurrentJobs: row.concurrent_jobs,
      queuedJobs: row.queued_jobs,
      requestsPerMinute: row.requests_per_minute,
      maxSteps: row.max_steps ?? undefined,
      maxFrames: row.max_frames ?? undefined,
      maxPriority: row.max_priority ?? undefined,
    },
    share: row.share,
    budgets: row.budgets.map(parseBudget),
    createdAt: row.created_at,
    lastUsedAt: row.last_used_at ?? undefined,
    revokedAt: row.revoked_at ?? undefined,
  };
}
