import { randomBytes } from 'node:crypto';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { isFinished, type Job, type JobOutcome, type JobProgress, type NewJob } from './job.ts';
import type { Claim, JobStore } from './job-store.ts';
import { Waiters } from './waiters.ts';

interface JobRecord {
  job: Job;
  changed: Waiters;
  ended: AbortController;
}

/** Jobs that live as long as the process. */
export class MemoryJobStore implements JobStore {
  readonly #maxQueued: number;
  /** In order of creation. */
  readonly #records = new Map<string, JobRecord>();
  readonly #idsByClientId = new Map<string, string>();
  /** Ids in the order in which workers take them. */
  readonly #queue = new Set<string>();
  /** Ids in the order in which the jobs ended. */
  readonly #finished = new Set<string>();
  readonly #queued = new Waiters();
  #sequence = 0;

  /** @param maxQueued jobs that may wait for a worker */
  constructor(maxQueued: number) {
    this.#maxQueued = maxQueued;
  }

  async create(request: NewJob): Promise<Job> {
    const earlier = this.#records.get(this.#idsByClientId.get(request.clientId) ?? '');
    if (earlier) {
      return sameRequest(earlier.job, request);
    }
    if (this.#queue.size >= this.#maxQueued) {
      throw new FusionError(
        Status.RESOURCE_EXHAUSTED,
        `The queue is full: ${this.#queue.size} jobs wait, allowed: ${this.#maxQueued}; try again later`,
        { reason: 'QUEUE_FULL' },
      );
    }
    const job: Job = {
      ...request,
      id: `video_${randomBytes(16).toString('hex')}`,
      sequence: ++this.#sequence,
      state: 'queued',
      stages: [],
      failure: undefined,
      createdAt: new Date(),
      finishedAt: undefined,
      frames: 0,
      fileBytes: 0,
    };
    this.#records.set(job.id, { job, changed: new Waiters(), ended: new AbortController() });
    if (job.clientId !== '') {
      this.#idsByClientId.set(job.clientId, job.id);
    }
    this.#queue.add(job.id);
    this.#queued.wake();
    return job;
  }

  async get(id: string): Promise<Job | undefined> {
    return this.#records.get(id)?.job;
  }

  async list(limit: number, before: number | undefined): Promise<Job[]> {
    return [...this.#records.values()]
      .reverse()
      .map(({ job }) => job)
      .filter(({ sequence }) => before === undefined || sequence < before)
      .slice(0, limit);
  }

  async claim(signal: AbortSignal): Promise<Claim> {
    for (;;) {
      signal.throwIfAborted();
      const [id] = this.#queue;
      const record = id === undefined ? undefined : this.#records.get(id);
      if (record) {
        this.#queue.delete(record.job.id);
        this.#change(record, { state: 'running' });
        return { job: record.job, ended: record.ended.signal };
      }
      await this.#queued.wait(signal);
    }
  }

  async update(id: string, { stages, warnings }: JobProgress): Promise<void> {
    const record = this.#records.get(id);
    if (record?.job.state === 'running') {
      this.#change(record, { stages, warnings });
    }
  }

  async finish(id: string, outcome: JobOutcome): Promise<boolean> {
    const record = this.#records.get(id);
    if (!record || isFinished(record.job)) {
      return false;
    }
    this.#queue.delete(id);
    this.#finished.add(id);
    this.#change(record, { ...outcome, finishedAt: new Date() });
    record.ended.abort();
    return true;
  }

  async delete(id: string): Promise<boolean> {
    const record = this.#records.get(id);
    if (!record || !this.#finished.delete(id)) {
      return false;
    }
    this.#idsByClientId.delete(record.job.clientId);
    return this.#records.delete(id);
  }

  async finishedBeyond(keep: number): Promise<string[]> {
    return [...this.#finished].slice(0, Math.max(0, this.#finished.size - keep));
  }

  async *watch(id: string, signal: AbortSignal): AsyncGenerator<Job> {
    const record = this.#records.get(id);
    if (!record) {
      return;
    }
    for (;;) {
      const { job } = record;
      yield job;
      if (isFinished(job)) {
        return;
      }
      if (record.job === job) {
        await record.changed.wait(signal);
      }
    }
  }

  async close(): Promise<void> {
    for (const id of [...this.#queue]) {
      await this.finish(id, {
        state: 'failed',
        failure: {
          code: 'UNAVAILABLE',
          stage: undefined,
          reason: 'The gateway was stopped before the job could begin',
        },
      });
    }
  }

  #change(record: JobRecord, changes: Partial<Job>): void {
    record.job = { ...record.job, ...changes };
    record.changed.wake();
  }
}

function sameRequest(earlier: Job, { clientId, fingerprint }: NewJob): Job {
  if (earlier.fingerprint !== fingerprint) {
    throw new FusionError(
      Status.ALREADY_EXISTS,
      `client_id: "${clientId}" given, allowed: an id that no other request has used`,
      { reason: 'CLIENT_ID_IN_USE', field: 'client_id' },
    );
  }
  return earlier;
}
