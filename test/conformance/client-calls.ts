import type { JsonObject } from '@bufbuild/protobuf';
import {
  CudaSharedMemoryStatusResponse,
  LogSettingsResponse,
  ModelConfigResponse,
  ModelMetadataResponse,
  ModelReadyResponse,
  ModelStatisticsResponse,
  RepositoryIndexResponse,
  ServerLiveResponse,
  ServerMetadataResponse,
  ServerReadyResponse,
  SystemSharedMemoryStatusResponse,
} from '../../proto/gen/grpc_service.ts';
import type { CallOptions } from '../../services/triton/calls/connection.ts';
import type { LoadOptions } from '../../services/triton/calls/repository-calls.ts';
import type { LogSettings } from '../../services/triton/calls/settings-calls.ts';
import type { TritonClient } from '../../services/triton/triton-client.ts';

/** Makes a call; answers with its message's bytes, or undefined where the client exposes less than the message. */
type Send = (options: CallOptions) => Promise<Uint8Array | undefined>;

const empty = new Uint8Array();

/** The client's call for a recorded request; undefined if the client cannot express it. */
export function clientCalls(client: TritonClient, method: string, request: JsonObject): Send | undefined {
  const { name = '', version = '' } = request as { name?: string; version?: string };
  switch (method) {
    case 'ServerLive':
      return async (options) => bytes(ServerLiveResponse, { live: await client.server.isLive(options) });
    case 'ServerReady':
      return async (options) => bytes(ServerReadyResponse, { ready: await client.server.isReady(options) });
    case 'ServerMetadata':
      return async (options) => bytes(ServerMetadataResponse, await client.server.metadata(options));
    case 'ModelReady':
      return async (options) =>
        (await client.models.isReady(name, { ...options, version }))
          ? bytes(ModelReadyResponse, { ready: true })
          : undefined;
    case 'ModelMetadata':
      return async (options) =>
        bytes(ModelMetadataResponse, await client.models.metadata(name, { ...options, version }));
    case 'ModelConfig':
      return async (options) =>
        bytes(ModelConfigResponse, { config: await client.models.config(name, { ...options, version }) });
    case 'ModelStatistics':
      return async (options) =>
        bytes(ModelStatisticsResponse, { modelStats: await client.models.statistics(name, { ...options, version }) });
    default:
      return controlCalls(client, method, request);
  }
}

function controlCalls(client: TritonClient, method: string, request: JsonObject): Send | undefined {
  const { name = '' } = request as { name?: string };
  const { repository_name, model_name: model = '' } = request as { repository_name?: string; model_name?: string };
  const number = (field: string) => Number(request[field] ?? 0);
  if (repository_name !== undefined) {
    return undefined;
  }
  switch (method) {
    case 'RepositoryIndex':
      return async (options) =>
        bytes(RepositoryIndexResponse, {
          models: await client.repository.index({ ...options, ready: request.ready === true }),
        });
    case 'RepositoryModelLoad': {
      const load = loadOptions(request);
      return load && (async (options) => client.repository.load(model, { ...load, ...options }).then(() => empty));
    }
    case 'RepositoryModelUnload': {
      const { unload_dependents: given, ...others } = (request.parameters ?? {}) as Record<string, JsonObject>;
      if (Object.keys(others).length > 0 || (given && typeof given.bool_param !== 'boolean')) {
        return undefined;
      }
      const dependents = given?.bool_param === true;
      return async (options) => client.repository.unload(model, { ...options, dependents }).then(() => empty);
    }
    case 'SystemSharedMemoryStatus':
      return async (options) => {
        const regions = await client.systemSharedMemory.status(name, options);
        return bytes(SystemSharedMemoryStatusResponse, { regions: byName(regions) });
      };
    case 'SystemSharedMemoryRegister': {
      const region = { name, key: String(request.key ?? ''), offset: number('offset'), byteSize: number('byte_size') };
      const isExact = [region.offset, region.byteSize].every(Number.isSafeInteger);
      return isExact
        ? async (options) => client.systemSharedMemory.register(region, options).then(() => empty)
        : undefined;
    }
    case 'SystemSharedMemoryUnregister':
      return async (options) => client.systemSharedMemory.unregister(name, options).then(() => empty);
    case 'CudaSharedMemoryStatus':
      return async (options) => {
        const regions = await client.cudaSharedMemory.status(name, options);
        return bytes(CudaSharedMemoryStatusResponse, { regions: byName(regions) });
      };
    case 'CudaSharedMemoryRegister': {
      const handle = Buffer.from(String(request.raw_handle ?? ''), 'base64');
      const region = { name, handle, device: number('device_id'), byteSize: number('byte_size') };
      return async (options) => client.cudaSharedMemory.register(region, options).then(() => empty);
    }
    case 'CudaSharedMemoryUnregister':
      return async (options) => client.cudaSharedMemory.unregister(name, options).then(() => empty);
    case 'TraceSetting':
      return async (options) =>
        client.settings.trace(traceChanges(request), { ...options, model }).then(() => undefined);
    case 'LogSettings': {
      const changes = logChanges(request);
      return changes && (async (options) => logAnswer(await client.settings.log(changes, options)));
    }
    default:
      return undefined;
  }
}

function loadOptions({ parameters }: JsonObject): LoadOptions | undefined {
  const given = Object.entries((parameters ?? {}) as Record<string, JsonObject>);
  const load: LoadOptions & { files: Record<string, Uint8Array> } = { files: {} };
  for (const [name, { string_param, bytes_param }] of given) {
    if (name === 'config' && typeof string_param === 'string') {
      load.config = string_param;
    } else if (name.startsWith('file:') && typeof bytes_param === 'string') {
      load.files[name.slice('file:'.length)] = Buffer.from(bytes_param, 'base64');
    } else {
      return undefined;
    }
  }
  return load;
}

function traceChanges({ settings }: JsonObject): Record<string, string[]> {
  const given = Object.entries((settings ?? {}) as Record<string, { value?: string[] }>);
  return Object.fromEntries(given.map(([name, { value = [] }]) => [name, value]));
}

function logChanges({ settings }: JsonObject): LogSettings | undefined {
  const given = Object.entries((settings ?? {}) as Record<string, JsonObject>);
  const values = given.map(([name, value]) => [name, value.bool_param ?? value.uint32_param ?? value.string_param]);
  return values.every(([, value]) => value !== undefined) ? Object.fromEntries(values) : undefined;
}

function logAnswer(values: LogSettings): Uint8Array {
  const settings = Object.entries(values).map(([name, value]) => {
    const choice =
      typeof value === 'boolean'
        ? { $case: 'boolParam' as const, value }
        : typeof value === 'number'
          ? { $case: 'uint32Param' as const, value }
          : { $case: 'stringParam' as const, value };
    return [name, { parameterChoice: choice }];
  });
  return bytes(LogSettingsResponse, { settings: Object.fromEntries(settings) });
}

function byName<T extends { name: string }>(regions: T[]): Record<string, T> {
  return Object.fromEntries(regions.map((region) => [region.name, region]));
}

function bytes<T>(message: { encode(value: T): { finish(): Uint8Array } }, value: T): Uint8Array {
  return message.encode(value).finish();
}
