import type { JobModel } from '../../models/model-route.ts';
import type { Vitals } from '../store/job-ledger.ts';

/** A running attempt of a job in this process. */
interface Running extends JobModel {
  attempt: number;
  lost: AbortController;
  stopping: AbortController;
  pausing: AbortController;
  vitals: Vitals;
  done: Promise<void>;
}

/** The part of a job's row that is kept while it runs. */
type RunningRow = JobModel & { id: string; attempt: number };

/** Signals between an attempt and its owner. */
export interface AttemptTools {
  /** Aborts when this process has lost the job. */
  lost: AbortController;
  /** Aborts when the job must be released. */
  stopping: AbortSignal;
  /** Aborts when the job must make room for another one, once its state is recorded. */
  pausing: AbortSignal;
  vitals: Vitals;
}

/**
 * The latest attempt of each job in this process. An attempt may start before its predecessor has noticed that it lost
 * the job: the older one is then aborted, and its end does not affect the newer one.
 */
export class RunningJobs {
  readonly #latest = new Map<string, Running>();

  /** How many jobs of a model there are. */
  count({ model, version }: JobModel): number {
    return [...this.#latest.values()].filter((job) => job.model === model && job.version === version).length;
  }

  get ids(): string[] {
    return [...this.#latest.keys()];
  }

  /** The jobs whose writes succeed: none has been pending for longer than `milliseconds` since `steadySince`. */
  writing(steadySince: number, milliseconds: number): string[] {
    const isStuck = ({ writingSince = Number.POSITIVE_INFINITY }: Vitals) =>
      performance.now() - Math.max(writingSince, steadySince) > milliseconds;
    return [...this.#latest].flatMap(([id, { vitals }]) => (isStuck(vitals) ? [] : id));
  }

  /** Runs an attempt with its own signals and vitals. Resolves when it and the attempt it replaced have ended. */
  begin({ id, attempt, model, version }: RunningRow, work: (tools: AttemptTools) => Promise<void>) {
    const lost = new AbortController();
    const stopping = new AbortController();
    const pausing = new AbortController();
    const vitals: Vitals = { writingSince: undefined };
    const before = this.#latest.get(id);
    before?.lost.abort();
    const ended = work({ lost, stopping: stopping.signal, pausing: pausing.signal, vitals }).finally(() => {
      // A paused attempt may continue before its first part has ended here.
      if (this.#latest.get(id)?.lost === lost) {
        this.#latest.delete(id);
      }
    });
    const done = Promise.all([before?.done, ended]).then(() => {});
    this.#latest.set(id, { model, version, attempt, lost, stopping, pausing, vitals, done });
    return done;
  }

  /** Tells a job's latest attempt that this process has lost the job. */
  lose(id: string): void {
    this.#latest.get(id)?.lost.abort();
  }

  /** Tells a job's latest attempt to make room for another job. */
  pause(id: string): void {
    this.#latest.get(id)?.pausing.abort();
  }

  /** Records the current attempts; returns a function that aborts those not among the `kept`. */
  snapshot(): (kept: ReadonlyMap<string, number>) => void {
    const held = [...this.#latest];
    return (kept) => {
      for (const [id, { attempt, lost }] of held) {
        if (kept.get(id) !== attempt) {
          lost.abort();
        }
      }
    };
  }

  /** Tells every attempt to release its job. */
  giveBack(): void {
    for (const { stopping } of this.#latest.values()) {
      stopping.abort();
    }
  }

  /** Resolves when all current attempts have ended. */
  async ended(): Promise<void> {
    await Promise.all([...this.#latest.values()].map(({ done }) => done));
  }
}
