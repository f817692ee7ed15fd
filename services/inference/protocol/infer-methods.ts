import type { CallContext } from 'nice-grpc';
import type {
  GRPCInferenceServiceImplementation,
  ModelInferRequest,
  ModelInferResponse,
  ModelStreamInferResponse,
} from '../../../proto/gen/grpc_service.ts';
import { ModelInferResponse as ModelInferResponseMessage } from '../../../proto/gen/grpc_service.ts';
import { toFusionError } from '../../kit/errors.ts';
import { backendSecondsKey } from '../../kit/telemetry/backend-time.ts';
import { parseVersion } from '../repository/version-table.ts';
import { answer } from '../requests/answer.ts';
import { checkRequest } from '../requests/check-request.ts';
import { readRequest } from '../requests/read-request.ts';
import type { InferenceServerState } from './state.ts';

type Methods = Pick<GRPCInferenceServiceImplementation, 'modelInfer' | 'modelStreamInfer'>;

/** Maximum number of requests of one stream in progress; more are read as answers are written. */
const maxStreamRequests = 64;

export function inferMethods(state: InferenceServerState): Methods {
  return {
    async modelInfer(request, context) {
      let backendSeconds = 0;
      const response = await submit(state, request, context.signal, (seconds) => (backendSeconds += seconds));
      context.trailer.set(backendSecondsKey, String(backendSeconds));
      return response;
    },
    modelStreamInfer: (requests, context) => answerStream(state, requests, context),
  };
}

/** Throws if the request is rejected; the promise rejects if running it fails. */
function submit(
  { repository, sharedMemory }: InferenceServerState,
  request: ModelInferRequest,
  signal: AbortSignal,
  onRun?: (seconds: number) => void,
): Promise<ModelInferResponse> {
  const model = repository.table.find(request.modelName, parseVersion(request.modelVersion));
  const given = readRequest(request, sharedMemory);
  try {
    return model
      .infer({ ...checkRequest(given, model.config), onRun }, signal)
      .then((outputs) => answer(given, model, outputs))
      .finally(given.release);
  } catch (error) {
    given.release();
    throw error;
  }
}

/**
 * Answers come in the order of the requests. An error is a message and the stream goes on, unless the caller sent the header
 * `triton_grpc_error`: then a failed run ends the stream with its status.
 */
async function* answerStream(
  state: InferenceServerState,
  requests: AsyncIterable<ModelInferRequest>,
  context: CallContext,
): AsyncGenerator<ModelStreamInferResponse> {
  const endsOnFailure = context.metadata.get('triton_grpc_error') === 'true';
  const start = (request: ModelInferRequest): Promise<ModelStreamInferResponse> => {
    let running: Promise<ModelInferResponse>;
    try {
      running = submit(state, request, context.signal);
    } catch (error) {
      return Promise.resolve(errorMessage(error, { id: request.id }));
    }
    return running.then(finalAnswer, (error) => {
      if (endsOnFailure) {
        throw error;
      }
      return errorMessage(error, { id: request.id, modelName: request.modelName, parameters: finalResponse });
    });
  };

  const source = requests[Symbol.asyncIterator]();
  const running: Promise<ModelStreamInferResponse>[] = [];
  let next: ReturnType<typeof source.next> | undefined = source.next();
  while (next || running.length > 0) {
    const [oldest] = running;
    const mayRead = next !== undefined && running.length < maxStreamRequests;
    const first: 'read' | 'answered' = await Promise.race([
      ...(mayRead ? [next!.then(() => 'read' as const)] : []),
      ...(oldest ? [oldest.then(() => 'answered' as const)] : []),
    ]);
    if (first === 'answered') {
      running.shift();
      yield await oldest!;
      continue;
    }
    const { done, value } = await next!;
    if (done) {
      next = undefined;
    } else {
      const started = start(value);
      // A failure is handled when its turn comes.
      started.catch(() => {});
      running.push(started);
      next = source.next();
    }
  }
}

const finalResponse = {
  triton_final_response: { parameterChoice: { $case: 'boolParam', value: true } },
} as const;

function finalAnswer(response: ModelInferResponse): ModelStreamInferResponse {
  const parameters = { ...response.parameters, ...finalResponse };
  return { errorMessage: '', inferResponse: { ...response, parameters } };
}

function errorMessage(error: unknown, response: Partial<ModelInferResponse>): ModelStreamInferResponse {
  return {
    errorMessage: toFusionError(error).message,
    inferResponse: ModelInferResponseMessage.fromPartial(response),
  };
}
