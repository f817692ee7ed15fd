/** A waiting request, as far as batching is concerned. */
export interface Waiting {
  /** Its batch items; 1 for a model without batching. */
  readonly items: number;
  /** Only requests with the same text share a run: their inputs' names and shapes without the batch. */
  readonly shapeKey: string;
  /** When it arrived, milliseconds of a monotonic clock. */
  readonly arrivedAt: number;
}

export interface BatchRules {
  /** Without dynamic batching every request runs alone. */
  readonly mayMerge: boolean;
  readonly maxItems: number;
  /** Batches of these sizes run as soon as they are complete. */
  readonly preferredItems: ReadonlySet<number>;
  /** How long the oldest request may wait for others, milliseconds. */
  readonly maxDelay: number;
}

export interface BatchPlan {
  /** How many requests from the front run now; 0: none yet. */
  readonly requests: number;
  /** If none: check again after this many milliseconds, or when another request arrives. */
  readonly wait: number;
}

/** Decides which of the waiting requests, given in their order, run now as one batch. */
export function planBatch(waiting: Iterable<Waiting>, rules: BatchRules, now: number): BatchPlan {
  const largestPreferred = Math.max(0, ...rules.preferredItems);
  let items = 0;
  let requests = 0;
  let preferredRequests = 0;
  let canGrow = true;
  let oldest = now;
  let shapeKey = '';

  for (const request of waiting) {
    if (requests === 0) {
      shapeKey = request.shapeKey;
      if (!rules.mayMerge) {
        return { requests: 1, wait: 0 };
      }
    } else {
      if (items + request.items > largestPreferred && preferredRequests === 0) {
        preferredRequests = requests;
      }
      if (items + request.items > rules.maxItems || request.shapeKey !== shapeKey) {
        canGrow = false;
        break;
      }
    }
    items += request.items;
    requests++;
    oldest = Math.min(oldest, request.arrivedAt);
    if (rules.preferredItems.has(items)) {
      preferredRequests = requests;
    }
  }

  const waited = now - oldest;
  const isDelayOver = waited >= rules.maxDelay;
  if (preferredRequests > 0 && !(rules.maxDelay > 0 && isDelayOver)) {
    return { requests: preferredRequests, wait: 0 };
  }
  if (!canGrow || items >= largestPreferred || isDelayOver) {
    return { requests, wait: 0 };
  }
  return { requests: 0, wait: rules.maxDelay - waited };
}
