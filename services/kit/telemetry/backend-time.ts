import type { Metadata } from 'nice-grpc-common';
import { record } from './metrics.ts';
import { describeSpan } from './spans.ts';

/** Trailing metadata in which the embedded inference server says what a request took of its backend, seconds. */
export const backendSecondsKey = 'fusionframes-backend-seconds';

/**
 * What a stage's call took of the backend: the share, by items, that its requests had of their batches' run time. Triton
 * does not tell it; its own counters give the mean.
 */
export class BackendTime {
  #seconds: number | undefined;

  /** Adds what the trailing metadata of a request say. */
  add(trailer: Metadata): void {
    const text = trailer.get(backendSecondsKey);
    if (typeof text === 'string') {
      this.#seconds = (this.#seconds ?? 0) + Number(text);
    }
  }

  /** Measures the sum, and says it in the span of the call. */
  note(stage: string): void {
    if (this.#seconds !== undefined) {
      record('fusionframes.backend.time', this.#seconds, { 'fusionframes.stage': stage });
      describeSpan<'rpc.server'>({ 'fusionframes.backend.seconds': this.#seconds });
    }
  }
}
