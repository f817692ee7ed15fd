import type { GRPCInferenceServiceImplementation } from '../../../proto/gen/grpc_service.ts';
import type { InferenceServerState } from './state.ts';

type Methods = Pick<GRPCInferenceServiceImplementation, 'serverLive' | 'serverReady' | 'serverMetadata'>;

const extensions = [
  'classification',
  'model_repository',
  'model_repository(unload_dependents)',
  'schedule_policy',
  'model_configuration',
  'system_shared_memory',
  'binary_tensor_data',
  'parameters',
  'statistics',
  'logging',
];

export function serverMethods(state: InferenceServerState): Methods {
  return {
    async serverLive() {
      return { live: true };
    },
    async serverReady() {
      return { ready: state.isReady() };
    },
    async serverMetadata() {
      return { name: state.id, version: `fusionframes-${state.version}`, extensions };
    },
  };
}
