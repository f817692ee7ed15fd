import { isFinished, type Job, type JobEvent } from '../job.ts';
import { Waiters } from '../waiters.ts';

/** How many recent events are kept in memory; a watcher further behind reads the table. */
const keptEvents = 64;

/** The recent events of a job, shared by all its watchers in this process. */
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

  /** Number of the last event known here. */
  get last(): number {
    return this.#last;
  }

  /** Whether the last known event is the job's last. */
  get finished(): boolean {
    return this.#finished;
  }

  /** Whether the job and its events were deleted. */
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

  /** The event with this number, if still in memory. */
  get(number: number): JobEvent | undefined {
    const [first] = this.#events;
    return first && this.#events[number - first.number];
  }
}
