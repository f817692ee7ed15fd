import { Status } from 'nice-grpc-common';
import {
  HealthDefinition,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '../../../proto/gen/grpc/health/v1/health.ts';
import { FusionError } from '../../kit/errors.ts';
import { type Service, service } from '../../kit/serve.ts';
import type { InferenceServerState } from './state.ts';

/** `grpc.health.v1` as Triton answers it: the server's state for every service name, and no Watch. */
export function healthService(state: InferenceServerState): Service {
  return service(HealthDefinition, {
    async check() {
      return { status: state.isReady() ? ServingStatus.SERVING : ServingStatus.NOT_SERVING };
    },
    // biome-ignore lint/correctness/useYield: refused before the first answer
    async *watch() {
      throw new FusionError(Status.UNIMPLEMENTED, '');
    },
  });
}
