import { Status } from 'nice-grpc-common';
import type { Sql } from 'postgres';
import { FusionError, invalidField } from '../../services/kit/errors.ts';
import type { Logger } from '../../services/kit/log.ts';
import { Rerun } from '../../services/kit/rerun.ts';
import { add } from '../../services/kit/telemetry/metrics.ts';
import { ask } from '../database/ask.ts';
import { warnUnlessAway } from '../database/outage-log.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { PlannedJob } from './planned-work.ts';
import type { QueuePlace } from './queue/queue-place.ts';
import type { QueuePlaces } from './queue/queue-places.ts';
import type { Judge } from './store/create-job.ts';
import { failOverdueJobs } from './store/end-job.ts';
import { noteEnd } from './work/job-trace.ts';
import { tidyObjects } from './work/tidy-objects.ts';

/** A missed deadline is noticed at most this late, seconds. */
const intervalSeconds = 2;

/** A deadline is hopeless if it leaves less than this share of the time that the video is expected to take. */
export const hopelessPart = 0.5;

export interface DeadlinesOptions {
  sql: Sql;
  objects: ObjectStore;
  places: Pick<QueuePlaces, 'ofNew'>;
  log: Logger;
}

/** Refuses deadlines that cannot be met, and fails jobs that miss theirs. */
export class Deadlines {
  readonly #options: DeadlinesOptions;
  readonly #looking: Rerun;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: DeadlinesOptions) {
    this.#options = options;
    this.#looking = new Rerun(
      () => this.#failOverdue(),
      // The next round tries again.
      (error) => warnUnlessAway(options.log, error, {}, 'overdue jobs could not be ended'),
    );
  }

  start(): void {
    this.#timer = setInterval(() => this.#looking.run(), intervalSeconds * 1000);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking.idle();
  }

  /**
   * Prepares to find out why the deadlines of new jobs, which are accepted together, cannot be met: they are past, or much
   * earlier than the videos are expected. Undefined if none has a deadline.
   */
  async judgeOf(jobs: readonly PlannedJob[], keyId: string): Promise<Judge | undefined> {
    if (jobs.every(({ deadline }) => !deadline)) {
      return undefined;
    }
    const findPlaces = await this.#options.places.ofNew(
      jobs.map(({ settings, keptStages, ...job }) => ({ ...job, keyId, settings: { ...settings, keptStages } })),
    );
    return async (sql) => {
      const found = await findPlaces(sql);
      const now = found?.now ?? Date.now();
      return jobs.map(({ deadline }, index) => deadline && refusalOf(deadline, found?.places[index], now));
    };
  }

  async #failOverdue(): Promise<void> {
    const { sql, objects, log } = this.#options;
    for (const { row, failure, owned } of await ask(sql, () => failOverdueJobs(sql))) {
      add('fusionframes.deadlines', 1, {
        'fusionframes.deadline.fate': row.attempt === 0 ? 'missed-queued' : 'missed-running',
      });
      noteEnd({ ...row, failure });
      log.warn({ job: row.id, stage: failure.stage, notice: true }, failure.message);
      if (!owned) {
        await tidyObjects(sql, objects, row.id).catch((error) =>
          warnUnlessAway(log, error, { job: row.id }, 'files are left'),
        );
      }
    }
  }
}

/** @param now by the database's clock, milliseconds since 1970 */
function refusalOf(deadline: Date, place: QueuePlace | undefined, now: number): FusionError | undefined {
  if (deadline.getTime() <= now) {
    return invalidField('deadline', deadline, `a time in the future (it is ${new Date(now).toISOString()})`);
  }
  const expected = place?.readyAt;
  if (!expected || deadline.getTime() >= now + hopelessPart * (expected.getTime() - now)) {
    return undefined;
  }
  add('fusionframes.deadlines', 1, { 'fusionframes.deadline.fate': 'refused' });
  return new FusionError(
    Status.FAILED_PRECONDITION,
    `\`deadline\` cannot be met: ${place.position - 1} jobs start before this one, which would be ready at about ` +
      `${expected.toISOString()} (got ${deadline.toISOString()})`,
    { reason: 'DEADLINE_HOPELESS', field: 'deadline' },
  );
}
