import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { ModelInferRequest, ModelInferResponse } from '../../proto/gen/grpc_service.ts';
import { deferred } from '../../services/kit/deferred.ts';
import type { FusionError } from '../../services/kit/errors.ts';
import { type InferenceRequest, toInferMessage } from '../../services/triton/inference/inference-request.ts';
import type { StreamAnswer } from '../../services/triton/inference/inference-stream.ts';
import { TritonClient } from '../../services/triton/triton-client.ts';
import { Caller } from './caller.ts';
import { clientCalls } from './client-calls.ts';
import { fromMessage, toMessage } from './client-messages.ts';
import { canonical, decode, encode, methodOf } from './codec.ts';
import type { Outcome, Step } from './exchanges.ts';

/**
 * Makes the recorded calls through this project's client as far as it can express them: it cannot send most of the
 * malformed requests. Those are made as by {@link Caller}.
 */
export class ClientCaller extends Caller {
  /** Steps that went through the client. */
  count = 0;
  readonly #client: TritonClient;

  constructor(address: string) {
    super(address);
    this.#client = new TritonClient({ address, sharedMemory: 'off' });
  }

  override close(): void {
    super.close();
    void this.#client.close();
  }

  override async unary(step: Step): Promise<Outcome> {
    const { method, request = {}, metadata } = step;
    const { output } = methodOf(method);
    const send = method === 'ModelInfer' ? this.#infer(request) : clientCalls(this.#client, method, request);
    if (!send) {
      return await super.unary(step);
    }
    try {
      const answer = await send(metadata ? { headers: metadata } : {});
      if (answer === undefined) {
        return await super.unary(step);
      }
      this.count++;
      return { response: decode(output, answer) };
    } catch (thrown) {
      this.count++;
      return { error: statusOf(thrown) };
    }
  }

  override async stream(step: Step): Promise<Outcome> {
    const requests = (step.requests ?? []).map((request) => expressible(request));
    const { metadata: headers } = step;
    if (!requests.every((request) => request?.id) || step.method !== 'ModelStreamInfer' || hasFailedRun(step)) {
      return await super.stream(step);
    }
    this.count++;
    let answered = deferred();
    async function* paced(): AsyncGenerator<InferenceRequest> {
      for (const request of requests as InferenceRequest[]) {
        yield request;
        if (step.pacing === 'wait_each') {
          await answered.promise;
          answered = deferred();
        }
      }
    }
    const responses: JsonValue[] = [];
    try {
      for await (const answer of this.#client.inference.stream(paced(), headers ? { headers } : {})) {
        responses.push(streamed(answer));
        answered.resolve();
      }
      return { responses, end: { code: 0, message: '' } };
    } catch (thrown) {
      return { responses, end: statusOf(thrown) };
    }
  }

  #infer(json: JsonObject): ReturnType<typeof clientCalls> {
    const request = expressible(json);
    return (
      request &&
      (async (options) =>
        ModelInferResponse.encode(toMessage(await this.#client.inference.run(request, options))).finish())
    );
  }
}

/** The request in the client's form, if the client sends exactly what was recorded. */
function expressible(json: JsonObject): InferenceRequest | undefined {
  const { input } = methodOf('ModelInfer');
  try {
    const request = fromMessage(ModelInferRequest.decode(encode(input, json)));
    const sent = decode(input, ModelInferRequest.encode(toInferMessage(request)).finish());
    return sameJson(sent, canonical(input, json)) ? request : undefined;
  } catch {
    return undefined;
  }
}

function sameJson(a: JsonValue, b: JsonValue): boolean {
  const sorted = (json: JsonValue) =>
    JSON.stringify(json, (_, value) =>
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? Object.fromEntries(Object.entries(value).sort(([x], [y]) => (x < y ? -1 : 1)))
        : value,
    );
  return sorted(a) === sorted(b);
}

/** What the client says of a failed run leaves out what was recorded with it. */
function hasFailedRun({ responses = [] }: Step): boolean {
  return responses.some((response) => response.error_message && (response.infer_response as JsonObject)?.parameters);
}

function streamed({ id, result, error }: StreamAnswer): JsonValue {
  if (error) {
    return { error_message: statusOf(error).message, infer_response: { id } };
  }
  const { output } = methodOf('ModelInfer');
  return { infer_response: decode(output, ModelInferResponse.encode(toMessage(result!)).finish()) };
}

/** The server's own text, which the client embeds in its message. */
function statusOf(thrown: unknown): { code: number; message: string } {
  const { code, cause } = thrown as FusionError;
  return { code, message: (cause as FusionError).message };
}
