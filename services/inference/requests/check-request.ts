import { constants } from 'node:buffer';
import type { ModelConfig, ModelInput } from '../../../proto/gen/model_config.ts';
import { type ElementType, elementTypeNamed, elementTypeOfConfig } from '../datatypes.ts';
import { invalidArgument, requestPrefix } from '../errors.ts';
import type { ModelRequest } from '../model.ts';
import { elementCount, reshape, shapeText, wildcard } from '../shapes.ts';
import type { RegionTensor, WireTensor } from '../tensors.ts';
import type { GivenInput, GivenRequest } from './read-request.ts';

/**
 * Checks a request against the model's configuration, in the order in which Triton finds faults. Throws INVALID_ARGUMENT
 * naming the tensor, what was given and what is expected.
 */
export function checkRequest(given: GivenRequest, config: ModelConfig): ModelRequest {
  const outputs = wantedOutputs(given, config);
  checkInputCount(given, config);
  const declared = new Map(
    [...given.inputs.keys()].map((name) => {
      const input = config.input.find((candidate) => candidate.name === name);
      if (!input) {
        throw invalidArgument(`unexpected inference input '${name}' for model '${config.name}'`);
      }
      return [name, input];
    }),
  );
  const batchSize = config.maxBatchSize > 0 ? commonBatchSize(given, config) : 0n;
  if (batchSize > BigInt(config.maxBatchSize)) {
    throw refuse(given, `inference request batch-size must be <= ${config.maxBatchSize} for '${config.name}'`);
  }
  const inputs = new Map<string, WireTensor | RegionTensor>();
  for (const [name, input] of given.inputs) {
    inputs.set(name, checkInput(given, input, declared.get(name)!, config, batchSize));
  }
  return {
    id: given.id,
    priority: priorityLevel(given.parameters.priority, config),
    timeoutMicroseconds: given.parameters.timeoutMicroseconds,
    batchSize: Number(batchSize),
    inputs,
    outputs,
    places: new Map([...given.outputs].flatMap(([name, { region }]) => (region ? [[name, region]] : []))),
  };
}

function refuse(given: GivenRequest, message: string): Error {
  return invalidArgument(requestPrefix(given.id) + message);
}

function wantedOutputs(given: GivenRequest, config: ModelConfig): string[] {
  const known = config.output.map((output) => output.name);
  for (const name of given.outputs.keys()) {
    if (!known.includes(name)) {
      throw invalidArgument(`unexpected inference output '${name}' for model '${config.name}'`);
    }
  }
  return given.outputs.size > 0 ? [...given.outputs.keys()] : known;
}

function checkInputCount(given: GivenRequest, config: ModelConfig): void {
  const required = config.input.filter((input) => !input.optional);
  const missing = required.filter((input) => !given.inputs.has(input.name));
  const count = given.inputs.size;
  if (count <= config.input.length && count >= required.length) {
    return;
  }
  const expected =
    required.length === config.input.length
      ? `${config.input.length} inputs`
      : `number of inputs between ${required.length} and ${config.input.length}`;
  const list = (names: string[]) => `[${names.map((name) => `'${name}'`).join(',')}]`;
  throw refuse(
    given,
    `expected ${expected} but got ${count} inputs for model '${config.name}'. Got input(s) ` +
      `${list([...given.inputs.keys()])}, but missing required input(s) ${list(missing.map(({ name }) => name))}. ` +
      'Please provide all required input(s).',
  );
}

function commonBatchSize(given: GivenRequest, config: ModelConfig): bigint {
  let batchSize = 0n;
  for (const [name, { shape }] of given.inputs) {
    const [batch] = shape;
    if (batch === undefined) {
      throw refuse(given, `input '${name}' has no shape but model requires batch dimension for '${config.name}'`);
    }
    if (batchSize === 0n) {
      // A negative batch counts as its 32-bit complement in Triton, above every limit.
      batchSize = BigInt.asUintN(32, batch);
    } else if (batch !== batchSize) {
      throw refuse(given, `input '${name}' batch size does not match other inputs for '${config.name}'`);
    }
  }
  return batchSize;
}

function checkInput(
  given: GivenRequest,
  input: GivenInput,
  declared: ModelInput,
  config: ModelConfig,
  batchSize: bigint,
): WireTensor | RegionTensor {
  const { name } = declared;
  const type = elementTypeNamed(input.datatype);
  const expectedType = elementTypeOfConfig(declared.dataType)!;
  if (type !== expectedType) {
    throw refuse(
      given,
      `inference input '${name}' data-type is '${type?.name ?? '<invalid>'}', but model '${config.name}' expects '${expectedType.name}'`,
    );
  }
  const itemShape = config.maxBatchSize > 0 ? input.shape.slice(1) : input.shape;
  checkShape(given, input, itemShape, declared, config);
  const modelShape = declared.reshape ? reshape(itemShape, declared.dims, declared.reshape.shape) : itemShape;
  const shape = batchSize > 0n ? [batchSize, ...modelShape] : modelShape;
  const count = elementCount(shape);
  if (count === undefined) {
    throw refuse(given, `input '${name}' for model '${config.name}' has an impossible shape ${shapeText(input.shape)}`);
  }
  if (type.size > 0) {
    checkByteSize(given, name, config.name, input.byteLength, count, type);
  }
  if (input.byteLength > constants.MAX_LENGTH) {
    throw refuse(given, `input '${name}' for model '${config.name}' must have at most ${constants.MAX_LENGTH} bytes`);
  }
  if (input.region && type.size > 0) {
    return { type, shape, region: input.region };
  }
  const data = input.read();
  if (type.size === 0) {
    checkBytesElements(given, name, config.name, data, count);
  }
  return { type, shape, data, isOwned: input.isOwned ?? false };
}

function checkShape(
  given: GivenRequest,
  input: GivenInput,
  itemShape: readonly bigint[],
  declared: ModelInput,
  config: ModelConfig,
): void {
  const isRankRight = itemShape.length === declared.dims.length;
  const wrong = itemShape.findIndex(
    (dimension, index) =>
      dimension === wildcard || (declared.dims[index] !== wildcard && declared.dims[index] !== dimension),
  );
  if (isRankRight && wrong < 0) {
    return;
  }
  if (isRankRight && itemShape[wrong] === wildcard) {
    throw refuse(
      given,
      `All input dimensions should be specified for input '${declared.name}' for model '${config.name}', got ${shapeText(input.shape)}`,
    );
  }
  const isBatching = config.maxBatchSize > 0;
  const expected = isBatching ? [wildcard, ...declared.dims] : declared.dims;
  const note = isBatching
    ? ' NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension to be prepended to each ' +
      'input shape. If you want to specify the full shape including the batch dim in your input dims config, try ' +
      'setting max_batch_size to zero. See the model configuration docs for more info on max_batch_size.'
    : '';
  throw refuse(
    given,
    `unexpected shape for input '${declared.name}' for model '${config.name}'. Expected ${shapeText(expected)}, got ${shapeText(input.shape)}.${note}`,
  );
}

function checkByteSize(
  given: GivenRequest,
  name: string,
  modelName: string,
  byteLength: number,
  count: bigint,
  type: ElementType,
): void {
  const expected = count * BigInt(type.size);
  if (BigInt(byteLength) !== expected) {
    throw refuse(
      given,
      `input byte size mismatch for input '${name}' for model '${modelName}'. Expected ${expected}, got ${byteLength}`,
    );
  }
}

/** Walks the length prefixes: they must lead exactly to the end, over as many elements as the shape has. */
function checkBytesElements(
  given: GivenRequest,
  name: string,
  modelName: string,
  data: Uint8Array,
  count: bigint,
): void {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const of = `for inference input '${name}' for model '${modelName}'`;
  let found = 0n;
  let position = 0;
  while (position < data.byteLength) {
    const left = data.byteLength - position;
    if (left < 4) {
      throw refuse(
        given,
        `incomplete string length indicator ${of}, expecting 4 bytes but only ${left} bytes available. Please make sure the string length indicator is in one buffer.`,
      );
    }
    found++;
    if (found > count) {
      throw refuse(given, `unexpected number of string elements ${found} ${of}, expecting ${count}`);
    }
    const length = view.getUint32(position, true);
    if (length > left - 4) {
      throw invalidArgument(
        `incomplete string data for inference input '${name}', expecting string of length ${length} but only ${left - 4} bytes available`,
      );
    }
    position += 4 + length;
  }
  if (found !== count) {
    throw refuse(given, `expected ${count} string elements ${of}, got ${found}`);
  }
}

function priorityLevel(asked: bigint, config: ModelConfig): bigint {
  const batching = config.schedulingChoice?.$case === 'dynamicBatching' ? config.schedulingChoice.value : undefined;
  const levels = batching?.priorityLevels ?? 0n;
  if (levels === 0n) {
    return 0n;
  }
  return asked === 0n || asked > levels ? batching!.defaultPriorityLevel : asked;
}
