import type { Metadata } from 'nice-grpc-common';
import { record } from './metrics.ts';
import { describeSpan } from './spans.ts';

/** Trailing metadata with which the embedded inference server reports a request's time on its backend, seconds. */
export const backendSecondsKey = 'fusionframes-backend-seconds';

/**
 * Backend time of a stage's call: its requests' share, by items, of the run time of their batches. Triton does not report it;
 * its counters give the mean.
 */
export class BackendTime {
  #seconds: number | undefined;

  /** Adds what a request's trailing metadata report. */
  add(trailer: Metadata): void {
    const text = trailer.get(backendSecondsKey);
    if (typeof text === 'string') {
      this.#seconds = (this.#seconds ?? 0) + Number(text);
    }
  }

  /** Adds this call's share, 0 to 1, of the time of a request that served several calls. */
  addShare(of: BackendTime, share: number): void {
    if (of.#seconds !== undefined) {
      this.#seconds = (this.#seconds ?? 0) + of.#seconds * share;
    }
  }

  /** Records the sum as a metric and in the call's span. */
  note(stage: string): void {
    if (this.#seconds !== undefined) {
      record('fusionframes.backend.time', this.#seconds, { 'fusionframes.stage': stage });
      describeSpan<'rpc.server'>({ 'fusionframes.backend.seconds': this.#seconds });
    }
  }
}
