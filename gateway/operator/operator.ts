import { Status } from 'nice-grpc-common';
import type { Sql, TransactionSql } from 'postgres';
import { FusionError, invalidField, shown } from '../../services/kit/errors.ts';
import type { Logger } from '../../services/kit/log.ts';
import { ask } from '../database/ask.ts';
import { lock } from '../database/locks.ts';
import { transact } from '../database/transact.ts';
import type { Job } from '../jobs/job.ts';
import { noSuchJob, wrongState } from '../jobs/job-errors.ts';
import { type GatewayMode, type GatewayRow, listGateways, setGatewayMode } from '../jobs/store/gateways.ts';
import type { JobPage } from '../jobs/store/read-jobs.ts';
import { setPriority } from '../jobs/store/set-priority.ts';
import type { VideoJobs } from '../jobs/video-jobs.ts';
import type { ApiKey } from '../keys/api-key.ts';
import type { KeyPage } from '../keys/api-key-rows.ts';
import type { ApiKeys } from '../keys/api-keys.ts';
import type { Caller } from '../keys/caller.ts';
import { type KeyValues, newKey } from '../keys/key-fields.ts';
import { type Action, type RecordedAction, readActions, recordAction } from './actions.ts';
import { createKey, type Recording, revokeKey, updateKey } from './change-keys.ts';
import {
  type FailureGroup,
  type JobFacts,
  type KeyInLine,
  type KeyUse,
  readFailures,
  readJobFacts,
  readKeyUse,
  readLines,
} from './read-facts.ts';

export interface OperatorOptions {
  sql: Sql;
  jobs: VideoJobs;
  keys: ApiKeys;
  log: Logger;
}

/** A job with the details that only operators see. */
export interface OperatedJob {
  job: Job;
  facts: JobFacts;
}

/** A key with its usage. */
export interface KeyInUse {
  key: ApiKey;
  use: KeyUse;
}

const actionsOfModes = { active: 'gateway.resume', paused: 'gateway.pause', draining: 'gateway.drain' } as const;

/**
 * Views and actions for operators; callers need the scope admin. Every change is recorded with the operator's key, in
 * the same transaction, and logged.
 */
export class Operator {
  readonly #options: OperatorOptions;

  constructor(options: OperatorOptions) {
    this.#options = options;
  }

  /** By name; live ones first. */
  gateways(): Promise<GatewayRow[]> {
    return this.#ask((sql) => listGateways(sql));
  }

  /** Pauses, drains or resumes a gateway on this database, also one that is down at present. Throws NOT_FOUND. */
  setMode(name: string, mode: GatewayMode, caller: Caller): Promise<GatewayRow> {
    const action = { name: actionsOfModes[mode], target: name, details: {}, keyId: caller.keyId };
    return this.#act(action, async (sql) => {
      const row = isGatewayName(name) ? await setGatewayMode(sql, name, mode) : undefined;
      if (!row) {
        throw noSuchGateway(name);
      }
      return { result: row, isChange: row.before !== mode };
    });
  }

  /** The keys with queued or running jobs, most queued jobs first. */
  lines(): Promise<KeyInLine[]> {
    return this.#ask(readLines);
  }

  /** Jobs of all keys, newest first. */
  async jobs(page: JobPage, caller: Caller): Promise<OperatedJob[]> {
    const jobs = await this.#options.jobs.list(page, caller);
    return this.#withFacts(jobs);
  }

  /**
   * Sets the priority of a queued job, even above its key's maximum. Throws NOT_FOUND, and FAILED_PRECONDITION for a
   * job that is not queued.
   */
  async setPriority(id: string, priority: number, caller: Caller): Promise<OperatedJob> {
    const { jobs } = this.#options;
    const details: { before?: number; priority: number } = { priority };
    await this.#act({ name: 'video.priority', target: id, details, keyId: caller.keyId }, async (sql) => {
      const found = await setPriority(sql, id, priority);
      if (!found) {
        throw noSuchJob(id);
      }
      if (found.state !== 'queued') {
        throw wrongState({ id, state: found.state }, 'queued');
      }
      details.before = found.before;
      return { result: undefined, isChange: found.before !== priority };
    });
    const [job] = await this.#withFacts([await jobs.get(id, caller)]);
    return job!;
  }

  /** Oldest first. */
  async keys(page: KeyPage): Promise<KeyInUse[]> {
    return this.#withUse(await this.#ask(() => this.#options.keys.list(page)));
  }

  /** Throws NOT_FOUND. */
  async key(id: string): Promise<KeyInUse> {
    return this.#oneWithUse(await this.#ask(() => this.#options.keys.get(id)));
  }

  /**
   * Creates a key; its text is not recoverable later. Throws INVALID_ARGUMENT for a first key without the scope admin: no
   * one could do anything here then.
   */
  async createKey(values: Partial<KeyValues> & { name: string }, caller: Caller): Promise<KeyInUse & { text: string }> {
    const { scopes } = newKey(values);
    if (!scopes.includes('admin') && !(await this.#options.keys.any())) {
      throw invalidField('scopes', scopes.join(','), 'a list with admin for the first key');
    }
    const { key, text } = await createKey(this.#options, values, this.#recordingOf(caller));
    return { ...(await this.#oneWithUse(key)), text };
  }

  /** Throws NOT_FOUND, and FAILED_PRECONDITION if an operator would lose the scope admin. */
  async updateKey(id: string, values: Partial<KeyValues>, caller: Caller): Promise<KeyInUse> {
    if (values.scopes && !values.scopes.includes('admin')) {
      requireOther(id, caller, 'lose the scope admin');
    }
    if (Object.keys(values).length === 0) {
      return this.key(id);
    }
    const key = await updateKey(this.#options, id, values, this.#recordingOf(caller));
    return this.#oneWithUse(key);
  }

  /**
   * Revokes a key and cancels its jobs, unless they are kept. Throws NOT_FOUND, and FAILED_PRECONDITION for the
   * operator's own key.
   */
  async revokeKey(id: string, keepJobs: boolean, caller: Caller): Promise<KeyInUse & { cancelled: number }> {
    requireOther(id, caller, 'be revoked');
    const { key, cancelled } = await revokeKey(this.#options, { id, keepJobs }, this.#recordingOf(caller));
    return { ...(await this.#oneWithUse(key)), cancelled };
  }

  /** Failures of jobs that ended at or after `from` and before `to`, the most frequent first. */
  failures(from: Date, to: Date, limit: number): Promise<FailureGroup[]> {
    return this.#ask((sql) => readFailures(sql, from, to, limit));
  }

  /** Actions of operators, latest first, before a number. */
  actions(limit: number, before: number | undefined): Promise<RecordedAction[]> {
    return this.#ask((sql) => readActions(sql, limit, before));
  }

  #ask<T>(query: (sql: Sql) => Promise<T>): Promise<T> {
    const { sql } = this.#options;
    return ask(sql, () => query(sql));
  }

  /** Records an action unless it changes nothing, as a repeated request. */
  async #act<T>(action: Action, work: (sql: TransactionSql) => Promise<{ result: T; isChange: boolean }>): Promise<T> {
    const { sql } = this.#options;
    const doAndRecord = async (transaction: TransactionSql) => {
      const done = await work(transaction);
      if (done.isChange) {
        await act(transaction, action);
      }
      return done;
    };
    const { result, isChange } = await ask(sql, (signal) => transact(sql, doAndRecord, { signal }));
    if (isChange) {
      this.#log(action);
    }
    return result;
  }

  #recordingOf({ keyId }: Caller): Recording {
    return { keyId, record: act, onDone: (action) => this.#log(action) };
  }

  #log({ name, target, details, keyId }: Action): void {
    const text = `an operator changes ${target}: ${name}`;
    this.#options.log.info({ key: keyId, action: name, target, details, notice: true }, text);
  }

  async #withFacts(jobs: readonly Job[]): Promise<OperatedJob[]> {
    const ids = jobs.map(({ id }) => id);
    const facts = await this.#ask((sql) => readJobFacts(sql, ids));
    // One that has been deleted since is left out.
    return jobs.flatMap((job) => {
      const known = facts.get(job.id);
      return known ? [{ job, facts: known }] : [];
    });
  }

  async #withUse(keys: readonly ApiKey[]): Promise<KeyInUse[]> {
    const ids = keys.map(({ id }) => id);
    const uses = await this.#ask((sql) => readKeyUse(sql, ids));
    return keys.map((key) => ({ key, use: uses.get(key.id)! }));
  }

  async #oneWithUse(key: ApiKey): Promise<KeyInUse> {
    const [one] = await this.#withUse([key]);
    return one!;
  }
}

/**
 * Records an action in the transaction that does it. Throws UNAUTHENTICATED if another operator has taken the scope admin
 * from this one's key in the meantime: of two that do so to each other, one keeps it.
 */
async function act(sql: TransactionSql, action: Action): Promise<void> {
  lock(sql, 'operate');
  const [found] = await sql`
    select 1 from api_keys where id = ${action.keyId} and revoked_at is null and 'admin' = any(scopes)`;
  if (!found && action.keyId !== '') {
    throw new FusionError(Status.UNAUTHENTICATED, 'This API key no longer has the scope admin', {
      reason: 'INVALID_API_KEY',
    });
  }
  await recordAction(sql, action);
}

/** As long as no key loses its own scope admin, there is one that has it. */
function requireOther(id: string, { keyId }: Caller, verb: string): void {
  if (id === keyId) {
    throw new FusionError(
      Status.FAILED_PRECONDITION,
      `The key that makes this request cannot ${verb}; use another one`,
      {
        reason: 'OWN_KEY',
        field: 'id',
      },
    );
  }
}

function isGatewayName(text: string): boolean {
  return /^[\w.:-]{1,80}$/.test(text);
}

function noSuchGateway(name: string): FusionError {
  return new FusionError(Status.NOT_FOUND, `Gateway "${shown(name)}" not found`, {
    reason: 'NO_SUCH_GATEWAY',
    field: 'name',
  });
}
