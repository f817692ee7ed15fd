import {
  DataType,
  type ModelConfig,
  ModelDynamicBatching,
  type ModelInput,
  ModelInput as ModelInputMessage,
  ModelInstanceGroup,
  ModelInstanceGroup_Kind,
  ModelOptimizationPolicy,
  type ModelOutput,
  ModelOutput as ModelOutputMessage,
  ModelTransactionPolicy,
} from '../../../proto/gen/model_config.ts';
import { elementTypeOfRuntime } from '../datatypes.ts';
import { invalidArgument } from '../errors.ts';
import type { ModelSignature, TensorSignature } from '../execution/session-messages.ts';
import { wildcard } from '../shapes.ts';

const onnxBackend = 'onnxruntime';
const onnxPlatform = 'onnxruntime_onnx';
const onnxFile = 'model.onnx';
/** The backends that Triton derives from a platform or from the model's file. */
const backends = [
  { backend: onnxBackend, platform: onnxPlatform, file: onnxFile },
  { backend: 'tensorrt', platform: 'tensorrt_plan', file: 'model.plan' },
  { backend: 'tensorflow', platform: 'tensorflow_savedmodel', file: 'model.savedmodel' },
  { backend: 'tensorflow', platform: 'tensorflow_graphdef', file: 'model.graphdef' },
  { backend: 'pytorch', platform: 'pytorch_libtorch', file: 'model.pt' },
];
/** Triton's default number of CPU instances, and its default batch size for models without a limit. */
const defaultInstances = 2;
const defaultMaxBatchSize = 4;

export function isEnsemble(config: ModelConfig): boolean {
  return config.platform === 'ensemble';
}

/**
 * Fills in defaults that do not depend on what the model's file contains.
 *
 * @param hasFile whether a version of the model has a file of this name
 */
export function completeDefaults(config: ModelConfig, hasFile: (name: string) => boolean): ModelConfig {
  const completed = { ...config };
  if (completed.backend === '') {
    const { platform, defaultModelFilename } = config;
    const isUnspecified = platform === '' && defaultModelFilename === '';
    const derived =
      backends.find((known) => known.platform === platform) ??
      backends.find(({ file }) => (isUnspecified ? hasFile(file) : file === defaultModelFilename));
    completed.backend = derived?.backend ?? '';
  }
  if (completed.backend === onnxBackend) {
    completed.platform ||= onnxPlatform;
    completed.defaultModelFilename ||= onnxFile;
  }
  completed.versionPolicy = completed.versionPolicy?.policyChoice
    ? completed.versionPolicy
    : { policyChoice: { $case: 'latest', value: { numVersions: 1 } } };
  if (completed.schedulingChoice?.$case === 'ensembleScheduling') {
    completed.modelTransactionPolicy ??= ModelTransactionPolicy.fromPartial({});
  } else {
    const optimization = completed.optimization ?? ModelOptimizationPolicy.fromPartial({});
    completed.optimization = {
      ...optimization,
      inputPinnedMemory: optimization.inputPinnedMemory ?? { enable: true },
      outputPinnedMemory: optimization.outputPinnedMemory ?? { enable: true },
    };
  }
  return completePreferredBatch(completed);
}

/** Fills in from the model's file: missing inputs and outputs, and whether it supports batching. */
export function completeFromModel(config: ModelConfig, signature: ModelSignature): ModelConfig {
  if (config.input.length > 0 && config.output.length > 0) {
    return config;
  }
  const completed = { ...config };
  const canBatch = [...signature.inputs, ...signature.outputs].every(({ shape }) => shape[0] === wildcard);
  if (canBatch) {
    completed.maxBatchSize ||= defaultMaxBatchSize;
    if (completed.maxBatchSize > 1 && !completed.schedulingChoice) {
      completed.schedulingChoice = { $case: 'dynamicBatching', value: ModelDynamicBatching.fromPartial({}) };
    }
  } else if (completed.maxBatchSize !== 0) {
    throw invalidArgument(
      `autofill failed for model '${config.name}': model does not support batching while non-zero max_batch_size is specified`,
    );
  }
  if (completed.input.length === 0) {
    completed.input = signature.inputs.map(
      (tensor): ModelInput => ModelInputMessage.fromPartial(describe(tensor, completed.maxBatchSize)),
    );
  }
  if (completed.output.length === 0) {
    completed.output = signature.outputs.map(
      (tensor): ModelOutput => ModelOutputMessage.fromPartial(describe(tensor, completed.maxBatchSize)),
    );
  }
  return completePreferredBatch(completed);
}

/** Names, counts and kinds of the instance groups; on this CPU server KIND_AUTO is KIND_CPU. */
export function completeInstanceGroups(config: ModelConfig): ModelConfig {
  const groups =
    config.instanceGroup.length > 0 ? config.instanceGroup : [ModelInstanceGroup.fromPartial({ name: config.name })];
  const instanceGroup = groups.map((group, index) => ({
    ...group,
    name: group.name || `${config.name}_${index}`,
    kind: group.kind === ModelInstanceGroup_Kind.KIND_AUTO ? ModelInstanceGroup_Kind.KIND_CPU : group.kind,
    count: group.count === 0 ? defaultInstances : group.count,
  }));
  return { ...config, instanceGroup };
}

function completePreferredBatch(config: ModelConfig): ModelConfig {
  const scheduling = config.schedulingChoice;
  if (
    scheduling?.$case !== 'dynamicBatching' ||
    scheduling.value.preferredBatchSize.length > 0 ||
    config.maxBatchSize === 0
  ) {
    return config;
  }
  const value = { ...scheduling.value, preferredBatchSize: [config.maxBatchSize] };
  return { ...config, schedulingChoice: { $case: 'dynamicBatching', value } };
}

function describe(tensor: TensorSignature, maxBatchSize: number) {
  const dims = maxBatchSize > 0 ? tensor.shape.slice(1) : tensor.shape;
  const dataType = elementTypeOfRuntime(tensor.runtimeType)?.configType ?? DataType.TYPE_INVALID;
  if (dims.length > 0) {
    return { name: tensor.name, dataType, dims };
  }
  // A configuration has no scalars: one element is declared and reshaped away.
  return { name: tensor.name, dataType, dims: [1n], ...(maxBatchSize > 0 && { reshape: { shape: [] } }) };
}
