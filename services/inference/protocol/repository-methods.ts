import type {
  GRPCInferenceServiceImplementation,
  RepositoryIndexResponse_ModelIndex as ModelIndex,
  ModelRepositoryParameter,
} from '../../../proto/gen/grpc_service.ts';
import { invalidArgument, unavailable, unimplemented } from '../errors.ts';
import { requireModelName } from '../repository/model-name.ts';
import type { LoadOverrides } from '../repository/model-source.ts';
import type { InferenceServerState } from './state.ts';

type Methods = Pick<
  GRPCInferenceServiceImplementation,
  'repositoryIndex' | 'repositoryModelLoad' | 'repositoryModelUnload'
>;

export function repositoryMethods(state: InferenceServerState): Methods {
  const { repository } = state;
  return {
    async repositoryIndex({ repositoryName, ready }) {
      refuseRepositoryName(repositoryName);
      return { models: repository.names().flatMap((name) => indexOf(name, state, ready)) };
    },
    async repositoryModelLoad({ repositoryName, modelName, parameters }) {
      refuseRepositoryName(repositoryName);
      const overrides = readOverrides(parameters);
      refuseWithoutControl(state);
      requireModelName(modelName);
      await repository.load(modelName, overrides);
      return {};
    },
    async repositoryModelUnload({ repositoryName, modelName, parameters }) {
      refuseRepositoryName(repositoryName);
      const choice = parameters.unload_dependents?.parameterChoice;
      if (parameters.unload_dependents && choice?.$case !== 'boolParam') {
        throw invalidArgument("invalid value type for 'unload_dependents' parameter, expected bool_param.");
      }
      refuseWithoutControl(state);
      await repository.unload(modelName, choice?.$case === 'boolParam' && choice.value);
      return {};
    },
  };
}

function indexOf(name: string, { repository }: InferenceServerState, readyOnly: boolean): ModelIndex[] {
  const versions = repository.table.list(name);
  if (!versions) {
    return readyOnly ? [] : [{ name, version: '', state: '', reason: '' }];
  }
  return versions
    .filter(([, entry]) => !readyOnly || entry.state === 'READY')
    .map(([version, { state, reason }]) => ({ name, version: String(version), state, reason }));
}

function refuseRepositoryName(name: string): void {
  if (name !== '') {
    throw unimplemented("'repository_name' specification is not supported");
  }
}

function refuseWithoutControl(state: InferenceServerState): void {
  if (!state.isExplicit) {
    throw unavailable('explicit model load / unload is not allowed if polling is enabled');
  }
}

function readOverrides(parameters: Record<string, ModelRepositoryParameter>): LoadOverrides {
  const files = new Map<string, Uint8Array>();
  let config: string | undefined;
  for (const [key, { parameterChoice: choice }] of Object.entries(parameters)) {
    if (key === 'config') {
      if (choice?.$case !== 'stringParam') {
        throw invalidArgument(`invalid value type for load parameter '${key}', expected string_param.`);
      }
      config = choice.value;
    } else if (key.startsWith('file:')) {
      if (choice?.$case !== 'bytesParam') {
        throw invalidArgument(`invalid value type for load parameter '${key}', expected bytes_param.`);
      }
      files.set(key.slice('file:'.length), choice.value);
    } else {
      throw invalidArgument(`unrecognized load parameter '${key}'.`);
    }
  }
  return { config, files };
}
