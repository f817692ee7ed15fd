import { setTimeout as sleep } from 'node:timers/promises';
import { Status } from 'nice-grpc-common';
import type { Sql } from 'postgres';
import { toFusionError } from '../../services/kit/errors.ts';
import type { Logger } from '../../services/kit/log.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';
import { timeLimit } from '../../services/kit/time-limit.ts';
import { databaseError } from '../database/database-error.ts';
import { warnUnlessAway } from '../database/outage-log.ts';
import type { Job } from '../jobs/job.ts';
import { postWebhook } from './post-webhook.ts';
import { signWebhook } from './sign-webhook.ts';
import {
  type CallBounds,
  claimDeliveries,
  type DueDelivery,
  dueChannel,
  forgetReceivers,
  markDelivered,
  markFailed,
  noteAnswer,
  shortenWaits,
} from './webhook-deliveries.ts';
import type { WebhookSecrets } from './webhook-secrets.ts';

/** Delays before the second and later calls, seconds; about 12 hours in all. */
const retrySeconds = [5, 30, 120, 600, 1800, 3600, 10_800, 25_200];

/** How often due retries are looked up, because the database does not notify of them. */
const pollMilliseconds = 1000;

/** How often waits are checked against the database's clock and old receivers forgotten, in polls. */
const pollsBetweenChecks = 60;

/** How soon a receiver must answer to get more than one place, milliseconds. */
const promptMilliseconds = 5000;

/** How long the outcomes of aborted calls may take to record, milliseconds. After that their leases expire. */
const stopMilliseconds = 2000;

/** A receiver that stops answering holds its places until its calls time out. */
const bounds: CallBounds = { total: 1024, perReceiver: 8, perKey: 64 };

export interface WebhookSenderOptions {
  sql: Sql;
  log: Logger;
  /** A job, as it was after its event of that number if one is given. Throws NOT_FOUND. */
  getJob(id: string, revision: number | null): Promise<Job>;
  /** A job in its HTTP form. */
  describeJob(job: Job): { status: string };
  secrets: Pick<WebhookSecrets, 'open'>;
  /** Whether calls may go to this machine or link-local addresses. */
  allowLocal: boolean;
  /** How long a receiver may take to answer, seconds. Default 15. */
  callSeconds?: number;
}

/** Delivers webhooks when jobs are queued, started or end: at least once, signed, from any replica, retried for about half a day. */
export class WebhookSender {
  readonly #options: WebhookSenderOptions;
  readonly #stopping = new AbortController();
  readonly #calls = new Map<DueDelivery, Promise<void>>();
  #polling: Promise<void> = Promise.resolve();
  /** Ends the pause before the next poll. */
  #wake = () => {};

  constructor(options: WebhookSenderOptions) {
    this.#options = options;
  }

  /** Starts delivering. */
  async start(): Promise<void> {
    await this.#options.sql.listen(dueChannel, () => this.#wake());
    this.#polling = this.#poll();
  }

  /** Aborts the calls in progress; another replica repeats them. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake();
    const ended = this.#polling.then(() => Promise.all(this.#calls.values()));
    await Promise.race([ended, sleep(stopMilliseconds, undefined, { ref: false })]);
  }

  async #poll(): Promise<void> {
    for (let poll = 0; !this.#stopping.signal.aborted; poll++) {
      const woken = new AbortController();
      this.#wake = () => woken.abort();
      await this.#begin(poll % pollsBetweenChecks === 0).catch((error) =>
        this.#options.log.debug({ err: error }, 'cannot read due webhooks'),
      );
      await sleep(pollMilliseconds, undefined, { signal: woken.signal }).catch(() => {});
    }
  }

  async #begin(cleansUp: boolean): Promise<void> {
    const { sql } = this.#options;
    if (cleansUp) {
      await shortenWaits(sql, retrySeconds);
      await forgetReceivers(sql);
    }
    for (const delivery of await claimDeliveries(sql, bounds, [...this.#calls.keys()])) {
      const call = this.#deliver(delivery)
        .catch((error) => {
          warnUnlessAway(
            this.#options.log,
            databaseError(error),
            { webhook: delivery.id },
            'the outcome of a webhook could not be recorded',
          );
        })
        .finally(() => {
          this.#calls.delete(delivery);
          // Its slot is free for the next call to the same receiver.
          this.#wake();
        });
      this.#calls.set(delivery, call);
    }
  }

  async #deliver(delivery: DueDelivery): Promise<void> {
    const isPrompt = await this.#attempt(delivery);
    if (!this.#stopping.signal.aborted) {
      await noteAnswer(this.#options.sql, delivery, isPrompt);
    }
  }

  /** Makes a call and records its outcome; whether it was answered promptly. */
  async #attempt(delivery: DueDelivery): Promise<boolean> {
    const { id, jobId, attempts } = delivery;
    const { sql, log } = this.#options;
    const started = performance.now();
    try {
      const status = await this.#call(delivery);
      const isPrompt = performance.now() - started < promptMilliseconds;
      if (status >= 200 && status < 300) {
        await markDelivered(sql, id);
        log.info({ webhook: id, job: jobId, attempts }, 'webhook delivered');
        return isPrompt;
      }
      // 410: the receiver does not want further calls.
      await this.#fail(id, jobId, `answered ${status}`, status === 410 ? undefined : retrySeconds[attempts - 1]);
      return isPrompt;
    } catch (thrown) {
      if (this.#stopping.signal.aborted) {
        await markFailed(sql, id, 'the gateway was stopped', 0);
        return false;
      }
      const error = toFusionError(thrown);
      const isFinal = error.code === Status.NOT_FOUND || error.code === Status.PERMISSION_DENIED;
      await this.#fail(id, jobId, reasonOf(thrown).slice(0, 500), isFinal ? undefined : retrySeconds[attempts - 1]);
      return false;
    }
  }

  async #call({ id, jobId, event, revision }: DueDelivery): Promise<number> {
    const { getJob, describeJob, secrets, allowLocal, callSeconds = 15 } = this.#options;
    const job = await getJob(jobId, revision);
    const { url, secret } = await secrets.open(job.webhook!);
    const now = new Date();
    const video = describeJob(job);
    const body = JSON.stringify({
      id,
      object: 'event',
      type: `video.${event || video.status}`,
      created_at: Math.floor(now.getTime() / 1000),
      data: video,
    });
    const limit = timeLimit(callSeconds * 1000, this.#stopping.signal);
    try {
      const headers = signWebhook(id, now, body, secret);
      return await postWebhook({ url, headers, body, allowLocal, signal: limit.signal });
    } catch (error) {
      throw limit.isOver ? new Error(`gave no answer within ${callSeconds} seconds`) : error;
    } finally {
      limit.end();
    }
  }

  async #fail(id: string, job: string, error: string, retry: number | undefined): Promise<void> {
    this.#options.log.warn(
      { webhook: id, job, error, retry },
      retry === undefined ? 'webhook failed for good' : 'webhook failed',
    );
    await markFailed(this.#options.sql, id, error, retry);
  }
}
