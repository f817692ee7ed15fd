import { isFinished, type Job, type JobEvent } from '../job.ts';
import { Waiters } from '../waiters.ts';

/** Latest events that are kept for those who follow a job closely; who is further behind reads the table. */
const keptEvents = 64;

/** The latest events of one job that is being watched here, shared by all who watch it. */
export class JobTail {
  readonly changed = new Waiters();
  #events: JobEvent[] = [];
  #last: number;
  #finished: boolean;
  #deleted = false;

  constructor(job: Job) {
    this.#last = job.revision;
    this.#finished = isFinished(job);
  }

  /** Number of the last event that is known here. */
  get last(): number {
    return this.#last;
  }

  /** The last known event is the job's last one. */
  get finished(): boolean {
    return this.#finished;
  }

  /** The job is gone, and its events with it. */
  get deleted(): boolean {
    return this.#deleted;
  }

  markDeleted(): void {
    this.#deleted = true;
    this.changed.wake();
  }

  add(events: readonly JobEvent[]): void {
    for (const event of events) {
      if (event.number === this.#last + 1) {
        this.#events.push(event);
        this.#last = event.number;
        this.#finished = isFinished(event.job);
      }
    }
    this.#events.splice(0, Math.max(0, this.#events.length - keptEvents));
    this.changed.wake();
  }

  /** The event of this number, if it is still kept. */
  get(number: number): JobEvent | undefined {
    const [first] = this.#events;
    return first && this.#events[number - first.number];
  }
}
