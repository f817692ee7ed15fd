import { repeatable } from '../../kit/channel.ts';
import type { BackendTime } from '../../kit/telemetry/backend-time.ts';
import { record } from '../../kit/telemetry/metrics.ts';
import type { CallOptions, TritonConnection } from '../calls/connection.ts';
import { ByteBudget } from './byte-budget.ts';
import { type InferenceRequest, tensorBytesOf, toInferMessage } from './inference-request.ts';
import { type InferenceResult, readInferResponse } from './inference-result.ts';
import { type StreamAnswer, type StreamOptions, streamInference } from './inference-stream.ts';

export interface InferOptions extends CallOptions {
  /**
   * Retry while the server is UNAVAILABLE. For models whose outputs depend only on the request: the server may have run a
   * request whose answer was lost. Default false.
   */
  repeat?: boolean;
  /** Adds up the request's time on the backend. */
  backendTime?: BackendTime;
}

/** Runs models, with a limit on the bytes in flight. */
export class InferenceCalls {
  readonly #connection: TritonConnection;
  readonly #budget: ByteBudget;

  constructor(connection: TritonConnection, maxBytesInFlight: number) {
    this.#connection = connection;
    this.#budget = new ByteBudget(maxBytesInFlight);
  }

  /**
   * Runs a model (ModelInfer). Throws the server's error, INVALID_ARGUMENT for a request that the protocol cannot express and
   * DEADLINE_EXCEEDED after the timeout, which includes waiting for earlier requests.
   */
  async run(request: InferenceRequest, options: InferOptions = {}): Promise<InferenceResult> {
    const message = toInferMessage(request);
    const timeoutSeconds = options.timeoutSeconds ?? this.#connection.requestTimeoutSeconds;
    const start = Date.now();
    const bytes = tensorBytesOf(message);
    record('fusionframes.inference.request.size', bytes, { 'fusionframes.model': request.model });
    const release = await this.#budget.take(bytes, timeoutSeconds, options.signal);
    const left = Math.max(0, timeoutSeconds - (Date.now() - start) / 1000);
    try {
      const response = await this.#connection.call(
        `model ${request.model}`,
        { ...options, timeoutSeconds: left },
        (client, call) =>
          client.modelInfer(message, {
            ...call,
            ...(options.repeat && repeatable),
            onTrailer: (trailer) => options.backendTime?.add(trailer),
          }),
      );
      return readInferResponse(response, request.outputs);
    } finally {
      release();
    }
  }

  /** Runs models over one stream (ModelStreamInfer), see {@link streamInference}. It has its own limit on bytes. */
  stream(
    requests: AsyncIterable<InferenceRequest> | Iterable<InferenceRequest>,
    options: StreamOptions = {},
  ): AsyncGenerator<StreamAnswer> {
    return streamInference(this.#connection, requests, options);
  }
}
