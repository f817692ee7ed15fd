import { Status } from 'nice-grpc-common';
import { GRPCInferenceServiceDefinition } from '../../../proto/gen/grpc_service.ts';
import { repeatable } from '../../kit/channel.ts';
import { isAbortError, toFusionError } from '../../kit/errors.ts';
import type { BackendTime } from '../../kit/telemetry/backend-time.ts';
import { add, record } from '../../kit/telemetry/metrics.ts';
import type { CallOptions, TritonConnection } from '../calls/connection.ts';
import { ByteBudget } from './byte-budget.ts';
import { type InferenceRequest, tensorBytesOf, toInferMessage } from './inference-request.ts';
import { type InferenceResult, readInferResponse } from './inference-result.ts';
import { type StreamAnswer, type StreamOptions, streamInference } from './inference-stream.ts';

export interface InferOptions extends CallOptions {
  /**
   * Retry while the server is UNAVAILABLE, and once after INTERNAL: of several servers, the next one gets the request. For
   * models whose outputs depend only on the request: the server may have run a request whose answer was lost. Default false.
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
    const send = () =>
      this.#connection.call(
        `model ${request.model}`,
        { ...options, timeoutSeconds: Math.max(0, timeoutSeconds - (Date.now() - start) / 1000) },
        (client, call) =>
          client.modelInfer(message, {
            ...call,
            ...(options.repeat && repeatable),
            onTrailer: (trailer) => options.backendTime?.add(trailer),
          }),
      );
    try {
      const response = await (options.repeat ? againAfterInternal(send) : send());
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

const { fullName, methods } = GRPCInferenceServiceDefinition;
const inferMethod = `${fullName}/${methods.modelInfer.name}`;

/** A GPU without free memory answers INTERNAL, while another server may have some. */
async function againAfterInternal<T>(send: () => Promise<T>): Promise<T> {
  try {
    return await send();
  } catch (thrown) {
    if (isAbortError(thrown) || toFusionError(thrown).code !== Status.INTERNAL) {
      throw thrown;
    }
    add('fusionframes.retries', 1, {
      'rpc.method': inferMethod,
      'rpc.response.status_code': Status[Status.INTERNAL],
    });
    return await send();
  }
}
