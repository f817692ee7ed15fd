import { setTimeout as sleep } from 'node:timers/promises';
import { Status } from 'nice-grpc-common';
import type { Sql } from 'postgres';
import { toFusionError } from '../../services/kit/errors.ts';
import type { Logger } from '../../services/kit/log.ts';
import type { Preset } from '../../services/pipeline/preset.ts';
import { toVideoObject } from '../api/http/video-object.ts';
import { databaseError } from '../database/database-error.ts';
import { warnUnlessAway } from '../database/outage-log.ts';
import type { Job } from '../jobs/job.ts';
import { postWebhook } from './post-webhook.ts';
import { signWebhook } from './sign-webhook.ts';
import { claimDeliveries, type DueDelivery, markDelivered, markFailed } from './webhook-deliveries.ts';

/** How long after each failed call the next one is made, seconds; about 12 hours in all, then it is given up. */
const retrySeconds = [5, 30, 120, 600, 1800, 3600, 10_800, 25_200];

/** How often calls whose time has come are looked for. */
const pollMilliseconds = 1000;

/** Longest that a receiver may take to answer. */
const callMilliseconds = 15_000;

/** Calls under way at once. */
const concurrentCalls = 16;

export interface WebhookSenderOptions {
  sql: Sql;
  preset: Preset;
  log: Logger;
  /** Throws NOT_FOUND. */
  getJob(id: string): Promise<Job>;
  /** Whether calls may go to this machine or its link. */
  allowLocal: boolean;
}

/** Calls those who asked to be told of a job's end: at least once, by any replica, signed, for about half a day. */
export class WebhookSender {
  readonly #options: WebhookSenderOptions;
  readonly #stopping = new AbortController();
  readonly #calls = new Set<Promise<void>>();
  readonly #polling: Promise<void>;

  constructor(options: WebhookSenderOptions) {
    this.#options = options;
    this.#polling = this.#poll();
  }

  /** Ends the calls under way; others make them again. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#polling;
    await Promise.all(this.#calls);
  }

  async #poll(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.#begin().catch((error) => this.#options.log.debug({ err: error }, 'webhooks cannot be looked for'));
      await sleep(pollMilliseconds, undefined, { signal }).catch(() => {});
    }
  }

  async #begin(): Promise<void> {
    const room = concurrentCalls - this.#calls.size;
    const due = room > 0 ? await claimDeliveries(this.#options.sql, room) : [];
    for (const delivery of due) {
      const call = this.#deliver(delivery).catch((error) => {
        warnUnlessAway(
          this.#options.log,
          databaseError(error),
          { webhook: delivery.id },
          'a webhook cannot be recorded',
        );
      });
      this.#calls.add(call);
      call.finally(() => this.#calls.delete(call));
    }
  }

  async #deliver({ id, jobId, attempts }: DueDelivery): Promise<void> {
    const { sql, log } = this.#options;
    try {
      const status = await this.#call(id, jobId);
      if (status >= 200 && status < 300) {
        await markDelivered(sql, id);
        log.info({ webhook: id, job: jobId, attempts }, 'webhook delivered');
        return;
      }
      // 410: the receiver wants no more of them.
      await this.#fail(id, jobId, `answered ${status}`, status === 410 ? undefined : retrySeconds[attempts - 1]);
    } catch (thrown) {
      if (this.#stopping.signal.aborted) {
        await markFailed(sql, id, 'the gateway was stopped', 0);
        return;
      }
      const error = toFusionError(thrown);
      const isFinal = error.code === Status.NOT_FOUND || error.code === Status.PERMISSION_DENIED;
      await this.#fail(id, jobId, error.message.slice(0, 500), isFinal ? undefined : retrySeconds[attempts - 1]);
    }
  }

  async #call(id: string, jobId: string): Promise<number> {
    const { getJob, preset, allowLocal } = this.#options;
    const job = await getJob(jobId);
    const { url, secret } = job.webhook!;
    const now = new Date();
    const video = toVideoObject(job, preset);
    const body = JSON.stringify({
      id,
      object: 'event',
      type: `video.${video.status}`,
      created_at: Math.floor(now.getTime() / 1000),
      data: video,
    });
    const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(callMilliseconds)]);
    return postWebhook({ url, headers: signWebhook(id, now, body, secret), body, allowLocal, signal });
  }

  async #fail(id: string, job: string, error: string, retry: number | undefined): Promise<void> {
    this.#options.log.warn(
      { webhook: id, job, error, retry },
      retry === undefined ? 'webhook given up' : 'webhook failed',
    );
    await markFailed(this.#options.sql, id, error, retry);
  }
}
