import { GRPCInferenceServiceDefinition } from '../../../proto/gen/grpc_service.ts';
import { appendingBytes } from '../../kit/messages/append-bytes.ts';
import { type RunningServer, type ServeOptions, serve, service } from '../../kit/serve.ts';
import { healthService } from './health.ts';
import { inferMethods } from './infer-methods.ts';
import { modelMethods } from './model-methods.ts';
import { repositoryMethods } from './repository-methods.ts';
import { serverMethods } from './server-methods.ts';
import { settingsMethods } from './settings-methods.ts';
import { sharedMemoryMethods } from './shared-memory-methods.ts';
import type { InferenceServerState } from './state.ts';

const definition = appendingBytes(GRPCInferenceServiceDefinition, 'modelInfer', 'responseType', {
  name: 'rawOutputContents',
  number: 6,
});

/** Serves Triton's protocol. Rejects with UNAVAILABLE if the address cannot be bound. */
export function serveProtocol(
  state: InferenceServerState,
  options: Pick<ServeOptions, 'address' | 'log' | 'maxRequestBytes' | 'tls'>,
): Promise<RunningServer> {
  return serve({
    ...options,
    services: [
      service(definition, {
        ...serverMethods(state),
        ...modelMethods(state),
        ...inferMethods(state),
        ...repositoryMethods(state),
        ...sharedMemoryMethods(state),
        ...settingsMethods(state),
      }),
    ],
    health: healthService(state),
    isReady: state.isReady,
    maxMessageBytes: 1 << 30,
    // Each model's queue is the limit, and answers like Triton's when it is full.
    maxConcurrentCalls: Number.POSITIVE_INFINITY,
    // Stages send many large requests at once, and Triton's own clients open streams that they use later.
    bounds: { openCalls: 16_384, pendingCallsPerAddress: 4096, messageSeconds: 300, streamsMayWait: true },
  });
}
