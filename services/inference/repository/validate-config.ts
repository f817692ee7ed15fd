import {
  DataType,
  type ModelConfig,
  type ModelInput,
  ModelInput_Format,
  ModelInstanceGroup_Kind,
  type ModelOutput,
  type ModelQueuePolicy,
  ModelQueuePolicy_TimeoutAction,
} from '../../../proto/gen/model_config.ts';
import { stepsOf } from '../ensemble/validate-ensemble.ts';
import { invalidArgument } from '../errors.ts';
import { wildcard } from '../shapes.ts';
import { isEnsemble } from './complete-config.ts';
import { ignoredParameters } from './session-parameters.ts';

/** Each step is looked up in the folder and compared with the others. */
const maxSteps = 1000;

/** Checks what can be checked before the model's file is read. Throws INVALID_ARGUMENT. */
export function validateConfig(config: ModelConfig, folderName: string): void {
  const { name } = config;
  if (name === '') {
    throw invalidArgument("model configuration must specify 'name'");
  }
  if (isEnsemble(config) ? config.backend !== '' : config.backend === '') {
    throw invalidArgument(`unexpected platform type '${config.platform}' for ${name}`);
  }
  if (config.maxBatchSize < 0) {
    throw invalidArgument(`'max_batch_size' must be non-negative value for ${name}`);
  }
  if (config.schedulingChoice?.$case === 'sequenceBatching') {
    throw invalidArgument(`'sequence_batching' of ${name}: this server has no sequence batcher`);
  }
  if (isEnsemble(config) !== (config.schedulingChoice?.$case === 'ensembleScheduling')) {
    throw invalidArgument(`'ensemble_scheduling' and platform 'ensemble' of ${name} belong together`);
  }
  const steps = stepsOf(config).length;
  if (steps > maxSteps) {
    throw invalidArgument(`ensemble '${name}' must have at most ${maxSteps} steps (got ${steps})`);
  }
  if (isEnsemble(config) && config.modelWarmup.length > 0) {
    throw invalidArgument(`model_warmup can not be specified for ensemble '${name}'`);
  }
  validateDynamicBatching(config);
  if (name !== folderName) {
    throw invalidArgument(
      `unexpected directory name '${folderName}' for model '${name}', directory name must equal model name`,
    );
  }
}

/** Checks that this server runs models of this kind. Throws INVALID_ARGUMENT. */
export function validateBackend({ name, platform, backend }: ModelConfig): void {
  if (backend !== 'onnxruntime') {
    throw invalidArgument(
      `unable to find backend library for backend '${backend}', try specifying runtime on the model configuration.`,
    );
  }
  if (platform !== 'onnxruntime_onnx') {
    throw invalidArgument(`platform '${platform}' of ${name}: backend 'onnxruntime' runs 'onnxruntime_onnx' only`);
  }
}

/** Rejects unsupported fields that would change results. Throws INVALID_ARGUMENT. */
export function refuseUnsupported(config: ModelConfig): void {
  const given = {
    model_repository_agents: (config.modelRepositoryAgents?.agents.length ?? 0) > 0,
    batch_input: config.batchInput.length > 0,
    batch_output: config.batchOutput.length > 0,
    'model_transaction_policy.decoupled': config.modelTransactionPolicy?.decoupled ?? false,
    'instance_group.passive': config.instanceGroup.some(({ passive }) => passive),
    runtime: config.runtime !== '',
    'model_operations.op_library_filename': (config.modelOperations?.opLibraryFilename.length ?? 0) > 0,
    'input.is_non_linear_format_io': config.input.some(({ isNonLinearFormatIo }) => isNonLinearFormatIo),
    'output.is_non_linear_format_io': config.output.some(({ isNonLinearFormatIo }) => isNonLinearFormatIo),
  };
  const fields = Object.entries(given).flatMap(([field, isGiven]) => (isGiven ? [field] : []));
  if (fields.length > 0) {
    throw invalidArgument(`this server does not support ${fields.join(', ')}, which ${config.name} requires`);
  }
}

/** Ignored fields, which do not change results. */
export function ignoredFields(config: ModelConfig): string[] {
  const { optimization, instanceGroup, schedulingChoice } = config;
  const scheduling = schedulingChoice?.$case === 'ensembleScheduling' ? schedulingChoice.value : undefined;
  const given = {
    response_cache: config.responseCache?.enable ?? false,
    'instance_group.rate_limiter': instanceGroup.some(({ rateLimiter }) => rateLimiter !== undefined),
    'instance_group.host_policy': instanceGroup.some(({ hostPolicy }) => hostPolicy !== ''),
    'instance_group.profile': instanceGroup.some(({ profile }) => profile.length > 0),
    'instance_group.secondary_devices': instanceGroup.some(({ secondaryDevices }) => secondaryDevices.length > 0),
    'ensemble_scheduling.max_inflight_requests': scheduling !== undefined && scheduling.maxInflightRequests > 0,
    'ensemble_scheduling.step.model_namespace': scheduling?.step.some(({ modelNamespace }) => modelNamespace !== ''),
    'optimization.priority': (optimization?.priority ?? 0) !== 0,
    'optimization.eager_batching': optimization?.eagerBatching,
    'optimization.gather_kernel_buffer_threshold': (optimization?.gatherKernelBufferThreshold ?? 0) > 0,
    metric_tags: Object.keys(config.metricTags).length > 0,
    'optimization.execution_accelerators': optimization?.executionAccelerators !== undefined,
    'optimization.graph': optimization?.graph !== undefined,
    'optimization.cuda': optimization?.cuda !== undefined,
    model_metrics: config.modelMetrics !== undefined,
    cc_model_filenames: Object.keys(config.ccModelFilenames).length > 0,
  };
  return [
    ...Object.entries(given).flatMap(([field, isGiven]) => (isGiven ? [field] : [])),
    ...ignoredParameters(config).map((name) => `parameters.${name}`),
  ];
}

/** Checks the inputs and outputs of a complete configuration by themselves. Throws INVALID_ARGUMENT. */
export function validateTensors(config: ModelConfig): void {
  for (const input of config.input) {
    validateTensor('model input', input, config);
    if (input.format !== ModelInput_Format.FORMAT_NONE && input.dims.length !== 3) {
      throw invalidArgument(`model input NHWC/NCHW require 3 dims for ${config.name}`);
    }
  }
  for (const output of config.output) {
    validateTensor('model output', output, config);
  }
}

/** Checks that this server supports the instance groups. Throws INVALID_ARGUMENT. */
export function validateInstanceGroups(config: ModelConfig): void {
  for (const group of config.instanceGroup) {
    if (group.count < 0) {
      throw invalidArgument(
        `instance group ${group.name} of model ${config.name}: 'count' must not be negative (got ${group.count})`,
      );
    }
    if (group.kind === ModelInstanceGroup_Kind.KIND_GPU || group.gpus.length > 0) {
      throw invalidArgument(
        `instance group ${group.name} of model ${config.name} has kind KIND_GPU but server does not support GPUs`,
      );
    }
  }
}

function validateDynamicBatching(config: ModelConfig): void {
  if (config.schedulingChoice?.$case !== 'dynamicBatching') {
    return;
  }
  const { value: batching } = config.schedulingChoice;
  const levels = batching.priorityLevels;
  const fail = (fault: string) => invalidArgument(`${fault} for ${config.name}`);
  for (const size of batching.preferredBatchSize) {
    if (size <= 0) {
      throw fail('dynamic batching preferred size must be positive');
    }
    if (size > config.maxBatchSize) {
      throw fail('dynamic batching preferred size must be <= max batch size');
    }
  }
  if (levels > 0n) {
    const isInRange = (level: bigint) => level >= 1n && level <= levels;
    if (!isInRange(batching.defaultPriorityLevel)) {
      throw fail(`default priority level must be in range [1, ${levels}]`);
    }
    if (![...batching.priorityQueuePolicy.keys()].every(isInRange)) {
      throw fail(`priority queue policy must have priority level in range [1, ${levels}]`);
    }
  }
  if (batching.preserveOrdering) {
    if (levels > 1n) {
      throw fail("Only one priority level is allowed when 'preserve_ordering' is true");
    }
    const delays = (policy: ModelQueuePolicy | undefined) =>
      policy?.timeoutAction === ModelQueuePolicy_TimeoutAction.DELAY && policy.defaultTimeoutMicroseconds !== 0n;
    if ([batching.defaultQueuePolicy, ...batching.priorityQueuePolicy.values()].some(delays)) {
      throw fail("Queue policy can not have DELAY as timeout action when 'preserve_ordering' is true");
    }
  }
}

function validateTensor(kind: string, tensor: ModelInput | ModelOutput, config: ModelConfig): void {
  const fail = (fault: string) => invalidArgument(`${kind} '${tensor.name}' ${fault} for ${config.name}`);
  if (tensor.name === '') {
    throw invalidArgument(`${kind} must specify 'name' for ${config.name}`);
  }
  if (tensor.dataType === DataType.TYPE_INVALID) {
    throw fail("must specify 'data_type'");
  }
  if (tensor.dims.length === 0) {
    throw fail("must specify 'dims'");
  }
  if (tensor.isShapeTensor || ('allowRaggedBatch' in tensor && tensor.allowRaggedBatch)) {
    throw fail('is a shape tensor or ragged, which this server does not support,');
  }
  const isSize = (dimension: bigint) => dimension >= 1n || dimension === wildcard;
  if (!tensor.dims.every(isSize)) {
    throw fail('dimension must be integer >= 1, or -1 to indicate a variable-size dimension');
  }
  if (tensor.reshape) {
    const { shape } = tensor.reshape;
    if (shape.length === 0 && config.maxBatchSize === 0) {
      throw fail('cannot have empty reshape for non-batching model as scalar tensors are not supported');
    }
    if (!shape.every(isSize)) {
      throw fail('reshape dimensions must be integer >= 1, or -1 to indicate a variable-size dimension');
    }
    if (runsBetweenWildcards(tensor.dims) !== runsBetweenWildcards(shape)) {
      throw fail('has different size for dims and reshape');
    }
  }
}

/** Element counts of the stretches between the wildcards: two shapes with the same ones can be reshaped to each other. */
function runsBetweenWildcards(dims: readonly bigint[]): string {
  const runs = [1n];
  for (const dimension of dims) {
    if (dimension === wildcard) {
      runs.push(1n);
    } else {
      runs[runs.length - 1]! *= dimension;
    }
  }
  return runs.join();
}
