import type { GRPCInferenceServiceImplementation } from '../../../proto/gen/grpc_service.ts';
import { invalidArgument, notFound, unimplemented } from '../errors.ts';
import type { InferenceServerState } from './state.ts';

type Methods = Pick<
  GRPCInferenceServiceImplementation,
  | 'systemSharedMemoryStatus'
  | 'systemSharedMemoryRegister'
  | 'systemSharedMemoryUnregister'
  | 'cudaSharedMemoryStatus'
  | 'cudaSharedMemoryRegister'
  | 'cudaSharedMemoryUnregister'
>;

export function sharedMemoryMethods(state: InferenceServerState): Methods {
  const { sharedMemory } = state;
  return {
    async systemSharedMemoryStatus({ name }) {
      return { regions: Object.fromEntries(sharedMemory.status(name).map((region) => [region.name, region])) };
    },
    async systemSharedMemoryRegister({ name, key, offset, byteSize }) {
      refuseUnlessAllowed(state);
      sharedMemory.register(name, key, offset, byteSize);
      return {};
    },
    async systemSharedMemoryUnregister({ name }) {
      refuseUnlessAllowed(state);
      sharedMemory.unregister(name);
      return {};
    },
    async cudaSharedMemoryStatus({ name }) {
      if (name !== '') {
        throw notFound(`Unable to find cuda shared memory region: '${name}'`);
      }
      return { regions: {} };
    },
    async cudaSharedMemoryRegister({ name }) {
      throw invalidArgument(`failed to register CUDA shared memory region: '${name}', GPUs not supported`);
    },
    async cudaSharedMemoryUnregister() {
      refuseUnlessAllowed(state);
      return {};
    },
  };
}

function refuseUnlessAllowed(state: InferenceServerState): void {
  if (!state.allowsSharedMemory) {
    throw unimplemented(
      'Client shared memory is disabled. Start the server with client shared memory allowed to enable.',
    );
  }
}
