import type { ISql, JSONValue } from 'postgres';
import type { Job, JobPicture, JobStatus } from '../job.ts';
import { readStoredFailure, type StoredFailure, toStoredFailure } from './stored-failure.ts';
import { readStoredSettings, type StoredSettings } from './stored-settings.ts';

/** The mutable part of a job without its times. */
export type Snapshot = Omit<JobStatus, 'startedAt' | 'finishedAt'>;

/** A snapshot as stored in an event; the times are in the job's row. */
export type StoredSnapshot = Omit<Snapshot, 'failure'> & { failure: StoredFailure | null };

/** The columns selected by {@link jobColumns}. */
export type JobRow = Omit<
  Job,
  | 'settings'
  | 'settingsFault'
  | 'picture'
  | 'failure'
  | 'webhook'
  | 'deadline'
  | 'queue'
  | 'startedAt'
  | 'finishedAt'
  | 'expiresAt'
> & {
  settings: StoredSettings;
  picture: JobPicture | null;
  failure: StoredFailure | null;
  webhook: NonNullable<Job['webhook']> | null;
  deadline: Date | null;
  startedAt: Date | null;
  finishedAt: Date | null;
  expiresAt: Date | null;
};

/** Every column of a job that callers may see. */
export function jobColumns(sql: ISql) {
  return sql`
    jobs.id, jobs.sequence, jobs.key_id as "keyId", jobs.client_id as "clientId", jobs.model,
    jobs.model_version as version, jobs.state, jobs.priority, jobs.settings, jobs.picture, jobs.previews, jobs.webhook, jobs.warnings,
    jobs.stages, jobs.failure, jobs.files, jobs.frames, jobs.deadline, jobs.reused_stages as "reusedStages",
    jobs.lost_seconds as "lostSeconds", jobs.attempt, jobs.pauses, jobs.revision, jobs.created_at as "createdAt",
    jobs.metadata, jobs.remix_of as "remixOf", jobs.kept_stages as "keptStages",
    jobs.started_at as "startedAt", jobs.finished_at as "finishedAt", jobs.expires_at as "expiresAt"`;
}

/** @param keepSeconds how long a job is kept after its end */
export function toJob(row: JobRow, keepSeconds: number): Job {
  const { picture, failure, webhook, deadline, startedAt, finishedAt, expiresAt } = row;
  const { settings, fault } = readStoredSettings(row.settings);
  return {
    ...row,
    settings,
    ...(fault !== undefined && { settingsFault: fault }),
    picture: picture ?? undefined,
    failure: failure ? readStoredFailure(failure) : undefined,
    webhook: webhook ?? undefined,
    deadline: deadline ?? undefined,
    startedAt: startedAt ?? undefined,
    finishedAt: finishedAt ?? undefined,
    expiresAt: expiresAt ?? expiry(finishedAt, keepSeconds),
  };
}

/** When a finished job is deleted automatically, unless its key's limit removes it earlier. */
export function expiry(finishedAt: Date | null | undefined, keepSeconds: number): Date | undefined {
  return finishedAt ? new Date(finishedAt.getTime() + keepSeconds * 1000) : undefined;
}

export function storedSnapshot(status: Snapshot): StoredSnapshot {
  const { state, attempt, pauses, stages, warnings, failure, files, frames, reusedStages, lostSeconds } = status;
  return {
    state,
    attempt,
    pauses,
    stages,
    warnings,
    failure: failure ? toStoredFailure(failure) : null,
    files,
    frames,
    reusedStages,
    lostSeconds,
  };
}

/** A JSON parameter; `undefined` becomes SQL null. */
export function json(sql: ISql, value: object | undefined | null) {
  return value ? sql.json(value as JSONValue) : null;
}
