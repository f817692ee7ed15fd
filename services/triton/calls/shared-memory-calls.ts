import type {
  CudaSharedMemoryStatusResponse_RegionStatus as CudaRegionStatus,
  SystemSharedMemoryStatusResponse_RegionStatus as RegionStatus,
} from '../../../proto/gen/grpc_service.ts';
import type { CallOptions, Send, TritonConnection } from './connection.ts';

export interface SystemRegion {
  /** How requests refer to it. */
  name: string;
  /** The shared memory object: a file of this name in /dev/shm of the server's host. */
  key: string;
  /** Where the region starts in the object, bytes, a multiple of 4096. Default 0. */
  offset?: number;
  byteSize: number;
}

/** Calls about system shared memory. Registering needs a server that allows it (--allow-client-shm). */
export class SystemSharedMemoryCalls {
  readonly #connection: TritonConnection;

  constructor(connection: TritonConnection) {
    this.#connection = connection;
  }

  /** The regions registered, or the named one (SystemSharedMemoryStatus). Throws NOT_FOUND for an unknown name. */
  async status(name = '', options: CallOptions = {}): Promise<RegionStatus[]> {
    const { regions } = await this.#call(name, options, (client, call) =>
      client.systemSharedMemoryStatus({ name }, call),
    );
    return Object.values(regions);
  }

  /** Throws ALREADY_EXISTS for a name in use, INTERNAL for an object that the server cannot open. */
  async register({ name, key, offset = 0, byteSize }: SystemRegion, options: CallOptions = {}): Promise<void> {
    const request = { name, key, offset: BigInt(offset), byteSize: BigInt(byteSize) };
    await this.#call(name, options, (client, call) => client.systemSharedMemoryRegister(request, call));
  }

  /** Unregisters one region, or without a name all of them, including other clients'; ignores unknown names. */
  async unregister(name = '', options: CallOptions = {}): Promise<void> {
    await this.#call(name, options, (client, call) => client.systemSharedMemoryUnregister({ name }, call));
  }

  #call<T>(name: string, options: CallOptions, send: Send<T>): Promise<T> {
    return this.#connection.call(name ? `shared memory region ${name}` : 'shared memory', options, send);
  }
}

export interface CudaRegion {
  name: string;
  /** The handle of CUDA interprocess memory. */
  handle: Uint8Array;
  device: number;
  byteSize: number;
}

/** Calls about memory of the server's GPUs, shared through CUDA's interprocess handles. */
export class CudaSharedMemoryCalls {
  readonly #connection: TritonConnection;

  constructor(connection: TritonConnection) {
    this.#connection = connection;
  }

  /** The regions registered, or the named one (CudaSharedMemoryStatus). Throws NOT_FOUND for an unknown name. */
  async status(name = '', options: CallOptions = {}): Promise<CudaRegionStatus[]> {
    const { regions } = await this.#call(name, options, (client, call) =>
      client.cudaSharedMemoryStatus({ name }, call),
    );
    return Object.values(regions);
  }

  /** Throws INVALID_ARGUMENT for a server without GPUs. */
  async register({ name, handle, device, byteSize }: CudaRegion, options: CallOptions = {}): Promise<void> {
    const request = { name, rawHandle: handle, deviceId: BigInt(device), byteSize: BigInt(byteSize) };
    await this.#call(name, options, (client, call) => client.cudaSharedMemoryRegister(request, call));
  }

  /** Unregisters one region, or without a name all of them. */
  async unregister(name = '', options: CallOptions = {}): Promise<void> {
    await this.#call(name, options, (client, call) => client.cudaSharedMemoryUnregister({ name }, call));
  }

  #call<T>(name: string, options: CallOptions, send: Send<T>): Promise<T> {
    return this.#connection.call(name ? `CUDA memory region ${name}` : 'CUDA memory', options, send);
  }
}
