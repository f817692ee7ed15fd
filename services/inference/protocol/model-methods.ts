import type {
  GRPCInferenceServiceImplementation,
  ModelMetadataResponse_TensorMetadata as TensorMetadata,
} from '../../../proto/gen/grpc_service.ts';
import type { ModelConfig, ModelInput, ModelOutput } from '../../../proto/gen/model_config.ts';
import { elementTypeOfConfig } from '../datatypes.ts';
import { invalidArgument } from '../errors.ts';
import type { Model } from '../model.ts';
import { parseVersion } from '../repository/version-table.ts';
import { wildcard } from '../shapes.ts';
import type { InferenceServerState } from './state.ts';

type Methods = Pick<
  GRPCInferenceServiceImplementation,
  'modelReady' | 'modelMetadata' | 'modelConfig' | 'modelStatistics'
>;

export function modelMethods({ repository: { table } }: InferenceServerState): Methods {
  return {
    async modelReady({ name, version }) {
      table.find(name, parseVersion(version));
      return { ready: true };
    },
    async modelMetadata({ name, version }) {
      const model = table.find(name, parseVersion(version));
      const versions = version === '' ? table.readyModels(name).map((ready) => ready.version) : [model.version];
      const { config } = model;
      return {
        name,
        versions: versions.map(String),
        platform: config.platform,
        inputs: config.input.map((tensor) => tensorMetadata(tensor, config)),
        outputs: config.output.map((tensor) => tensorMetadata(tensor, config)),
      };
    },
    async modelConfig({ name, version }) {
      return { config: table.find(name, parseVersion(version)).config };
    },
    async modelStatistics({ name, version }) {
      const wanted = parseVersion(version);
      const models = name === '' ? table.allReadyModels() : wantedModels(table.readyModels(name), name, wanted);
      return { modelStats: models.map((model) => model.statistics.toMessage(model.name, model.version)) };
    },
  };
}

function wantedModels(models: Model[], name: string, version: bigint | undefined): Model[] {
  if (models.length === 0) {
    throw invalidArgument(`requested model '${name}' is not available`);
  }
  const wanted = version === undefined ? models : models.filter((model) => model.version === version);
  if (wanted.length === 0) {
    throw invalidArgument(`requested model version is not available for model '${name}'`);
  }
  return wanted;
}

function tensorMetadata(tensor: ModelInput | ModelOutput, config: ModelConfig): TensorMetadata {
  return {
    name: tensor.name,
    datatype: elementTypeOfConfig(tensor.dataType)!.name,
    shape: config.maxBatchSize > 0 ? [wildcard, ...tensor.dims] : tensor.dims,
  };
}
