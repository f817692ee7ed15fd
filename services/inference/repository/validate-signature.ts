import type { ModelConfig, ModelInput, ModelOutput } from '../../../proto/gen/model_config.ts';
import { elementTypeOfConfig, elementTypeOfRuntime } from '../datatypes.ts';
import { invalidArgument } from '../errors.ts';
import type { ModelSignature, TensorSignature } from '../execution/session-messages.ts';
import { shapeText, wildcard } from '../shapes.ts';

/** Compares a complete configuration with the model's file. Throws INVALID_ARGUMENT naming the tensor and both shapes. */
export function validateSignature(config: ModelConfig, signature: ModelSignature): void {
  if (signature.inputs.length !== config.input.length) {
    throw invalidArgument(
      `unable to load model '${config.name}', configuration expects ${config.input.length} inputs, model provides ${signature.inputs.length}`,
    );
  }
  for (const input of config.input) {
    if (input.optional && config.maxBatchSize !== 0) {
      throw invalidArgument(
        `unable to load model '${config.name}', optional input '${input.name}' is not supported for models that support batching`,
      );
    }
    validateTensor(config, 'input', input, signature.inputs);
  }
  for (const output of config.output) {
    validateTensor(config, 'output', output, signature.outputs);
  }
}

function validateTensor(
  config: ModelConfig,
  kind: 'input' | 'output',
  declared: ModelInput | ModelOutput,
  provided: readonly TensorSignature[],
): void {
  const tensor = provided.find(({ name }) => name === declared.name);
  if (!tensor) {
    const known = provided.map(({ name }) => name).join(', ');
    throw invalidArgument(
      `unexpected inference ${kind} '${declared.name}', allowed ${kind}s of model '${config.name}' are: ${known}`,
    );
  }
  const type = elementTypeOfRuntime(tensor.runtimeType);
  const declaredType = elementTypeOfConfig(declared.dataType)!;
  if (type !== declaredType) {
    throw invalidArgument(
      `unable to load model '${config.name}', configuration expects datatype ${declaredType.name} for ${kind} '${declared.name}', model provides ${type?.name ?? tensor.runtimeType}`,
    );
  }
  const dims = declared.reshape?.shape ?? declared.dims;
  if (tensor.shape.length === 0) {
    if (dims.some((dimension) => dimension !== 1n)) {
      throw invalidArgument(
        `unable to load model '${config.name}', scalar tensor '${declared.name}', should only provide 1 in the model configuration when the model doesn't support batching. Model configuration provided: ${shapeText(dims)}.`,
      );
    }
    return;
  }
  validateShape(config, declared.name, tensor.shape, dims, kind === 'output');
}

/** An input may be declared more narrowly than in the model, an output may not. */
function validateShape(
  config: ModelConfig,
  name: string,
  modelShape: readonly bigint[],
  dims: readonly bigint[],
  isExact: boolean,
): void {
  const isBatching = config.maxBatchSize > 0;
  const where = `model '${config.name}', tensor '${name}': `;
  if (isBatching && modelShape[0] !== wildcard) {
    throw invalidArgument(
      `${where}for the model to support batching the shape should have at least 1 dimension and the first dimension must be -1; but shape expected by the model is ${shapeText(modelShape)}`,
    );
  }
  const complete = isBatching ? [wildcard, ...dims] : dims;
  const fits =
    modelShape.length === complete.length &&
    modelShape.every((dimension, index) => (dimension === wildcard && !isExact) || dimension === complete[index]);
  if (!fits) {
    const how = isBatching
      ? '(an initial batch dimension because max_batch_size > 0 followed by the explicit tensor shape, making complete shape '
      : '(shape ';
    throw invalidArgument(
      `${where}the model expects ${modelShape.length} dimensions (shape ${shapeText(modelShape)}) but the model configuration specifies ${complete.length} dimensions ${how}${shapeText(complete)})`,
    );
  }
}
