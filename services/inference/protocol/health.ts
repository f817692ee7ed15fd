import { Status } from 'nice-grpc-common';
import { HealthDefinition } from 'nice-grpc-server-health';
import { FusionError } from '../../kit/errors.ts';
import { type Service, service } from '../../kit/serve.ts';
import type { InferenceServerState } from './state.ts';

// HealthCheckResponse.ServingStatus
const serving = 1;
const notServing = 2;

/** `grpc.health.v1` as Triton answers it: the server's state for every service name, and no Watch. */
export function healthService(state: InferenceServerState): Service {
  return service(HealthDefinition, {
    async check() {
      return { status: state.isReady() ? serving : notServing };
    },
    // biome-ignore lint/correctness/useYield: refused before the first answer
    async *watch() {
      throw new FusionError(Status.UNIMPLEMENTED, '');
    },
  });
}
