import { Status } from 'nice-grpc-common';
import type { ModelInferRequest, ModelStreamInferResponse } from '../../../proto/gen/grpc_service.ts';
import { FusionError, isAbortError } from '../../kit/errors.ts';
import type { CallOptions, TritonConnection } from '../calls/connection.ts';
import { ByteBudget } from './byte-budget.ts';
import { type InferenceRequest, tensorBytesOf, toInferMessage, type WantedOutput } from './inference-request.ts';
import { type InferenceResult, readInferResponse } from './inference-result.ts';

/** One message of a stream. */
export interface StreamAnswer {
  /** Of the request; requests without an id are given one. */
  id: string;
  /** Whether this is the last answer to its request. A model may answer several times, or only report that it is done. */
  isFinal: boolean;
  /** Absent when the request failed. */
  result?: InferenceResult;
  /** Why the request failed; the stream goes on. Its code is UNKNOWN, because the server sends none. */
  error?: FusionError;
}

export interface StreamOptions extends CallOptions {
  /** Limit on bytes of unanswered requests; further requests are not read. Default 256 MiB. */
  maxBytesInFlight?: number;
}

/** A request that waits for its last answer. */
interface Pending {
  outputs: Record<string, WantedOutput> | undefined;
  release(): void;
}

/**
 * Runs models over one bidirectional stream (ModelStreamInfer), which keeps a sequence's requests in order and lets a
 * model answer more than once. Requests are read within the limit on bytes. It applies backpressure: a reader that stops also
 * stops the writing. Leaving the loop cancels the stream.
 *
 * Throws what ends the whole stream: a lost connection, a request that the protocol cannot express, the deadline.
 */
export async function* streamInference(
  connection: TritonConnection,
  requests: AsyncIterable<InferenceRequest> | Iterable<InferenceRequest>,
  options: StreamOptions = {},
): AsyncGenerator<StreamAnswer> {
  const stream = new OpenRequests(options.maxBytesInFlight ?? 256 << 20);
  const left = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, left.signal]) : left.signal;
  const timeoutSeconds = options.timeoutSeconds ?? connection.requestTimeoutSeconds;
  const messages = stream.messages(requests, timeoutSeconds, left.signal);
  try {
    const call = connection.clientOptions({ ...options, signal, timeoutSeconds });
    for await (const message of connection.client.modelStreamInfer(messages, call)) {
      yield stream.answer(message, connection);
    }
  } catch (thrown) {
    throw isAbortError(thrown) ? thrown : connection.explain('stream', thrown);
  } finally {
    left.abort();
  }
}

/** The requests of a stream that are not yet answered to the end. */
class OpenRequests {
  readonly #budget: ByteBudget;
  /** By id, in their order: an id may be used again. */
  readonly #pending = new Map<string, Pending[]>();
  #count = 0;

  constructor(maxBytesInFlight: number) {
    this.#budget = new ByteBudget(maxBytesInFlight);
  }

  async *messages(
    requests: AsyncIterable<InferenceRequest> | Iterable<InferenceRequest>,
    timeoutSeconds: number,
    signal: AbortSignal,
  ): AsyncGenerator<ModelInferRequest> {
    for await (const request of requests) {
      const message = toInferMessage({ ...request, id: request.id || `request-${this.#count}` });
      this.#count++;
      // Without it a model that answers several times may not report its end.
      message.parameters.triton_enable_empty_final_response = { parameterChoice: { $case: 'boolParam', value: true } };
      const release = await this.#budget.take(tensorBytesOf(message), timeoutSeconds, signal);
      const pending = this.#pending.get(message.id) ?? [];
      this.#pending.set(message.id, [...pending, { outputs: request.outputs, release }]);
      yield message;
    }
  }

  answer({ errorMessage, inferResponse }: ModelStreamInferResponse, { address }: TritonConnection): StreamAnswer {
    const id = inferResponse?.id ?? '';
    const final = inferResponse?.parameters.triton_final_response?.parameterChoice?.value;
    // A request rejected before it runs has one answer, which is not marked as final.
    const isFinal = final === true || (errorMessage !== '' && final === undefined);
    const outputs = this.#pending.get(id)?.[0]?.outputs;
    if (isFinal) {
      this.#end(id);
    }
    if (errorMessage !== '' || !inferResponse) {
      const error = new FusionError(Status.UNKNOWN, `request ${id} on ${address}: ${errorMessage}`, {
        reason: 'STREAMED_REQUEST_FAILED',
        cause: new FusionError(Status.UNKNOWN, errorMessage),
      });
      return { id, isFinal, error };
    }
    return { id, isFinal, result: readInferResponse(inferResponse, outputs) };
  }

  #end(id: string): void {
    const [first, ...others] = this.#pending.get(id) ?? [];
    first?.release();
    if (others.length > 0) {
      this.#pending.set(id, others);
    } else {
      this.#pending.delete(id);
    }
  }
}
