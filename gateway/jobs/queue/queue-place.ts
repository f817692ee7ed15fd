/** Where a job is in the queue. */
export interface QueuePlace {
  /** 1: starts next; 0: it runs. */
  position: number;
  /** When it will start, or has started; absent until a finished video shows how long one takes. */
  startsAt?: Date | undefined;
  /** When it will have ended; absent as above. */
  readyAt?: Date | undefined;
}
