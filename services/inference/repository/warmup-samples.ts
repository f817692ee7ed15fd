import { randomFillSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelConfig, ModelWarmup, ModelWarmup_Input } from '../../../proto/gen/model_config.ts';
import type { FusionError } from '../../kit/errors.ts';
import { reasonOf } from '../../kit/reason-of.ts';
import { type ElementType, elementTypeOfConfig } from '../datatypes.ts';
import { internal, invalidArgument, requestPrefix } from '../errors.ts';
import type { ModelRequest } from '../model.ts';
import { checkRequest } from '../requests/check-request.ts';
import type { GivenInput } from '../requests/read-request.ts';
import { elementCount } from '../shapes.ts';
import { pathWithin, requireFile, warmupFolder } from './config-paths.ts';

/** Requests that a new instance runs before it serves. */
export interface WarmupSample {
  readonly name: string;
  /** One batch item; a run repeats it `batchSize` times. */
  readonly request: ModelRequest;
  readonly batchSize: number;
  readonly runs: number;
}

/** What the samples of a model may ask for together: they are read on the event loop, and each run holds its batch in memory. */
const limits = { runs: 1000, requests: 100_000, 'bytes of input': 2 ** 26 };
const maxReasons = 64;
const unknownRequest = requestPrefix('');

/**
 * The samples of `model_warmup`; those of batch size 0 are left out. Throws INVALID_ARGUMENT for inputs that do not fit
 * the model and for more work than a warm-up may be, and INTERNAL for a data file that cannot be read.
 */
export function readWarmupSamples(config: ModelConfig, folder: string): WarmupSample[] {
  const warmups = config.modelWarmup.filter(({ batchSize }) => batchSize > 0);
  limitWork(warmups, config, folder);
  return warmups.map((warmup) => readSample(warmup, config, folder));
}

/** INVALID_ARGUMENT as Triton words it: the same reason once for each request of the batch, up to 64. */
export function sampleFailure({ name, batchSize }: { name: string; batchSize: number }, reason: string): FusionError {
  return invalidArgument(
    `failed to run warmup sample '${name}': ${`${reason}; `.repeat(Math.min(batchSize, maxReasons))}`,
  );
}

/** Comes before anything is allocated. */
function limitWork(warmups: readonly ModelWarmup[], config: ModelConfig, folder: string): void {
  const totals = { runs: 0, requests: 0, 'bytes of input': 0 };
  for (const warmup of warmups) {
    totals.runs += runsOf(warmup);
    totals.requests += runsOf(warmup) * warmup.batchSize;
    for (const [name, input] of splitInputs(warmup, config).known) {
      totals['bytes of input'] += warmup.batchSize * heldBytes(name, input, folder);
    }
  }
  for (const unit of ['runs', 'requests', 'bytes of input'] as const) {
    if (totals[unit] > limits[unit]) {
      throw invalidArgument(
        `model_warmup of model '${config.name}' must ask for at most ${limits[unit]} ${unit} (got ${totals[unit]})`,
      );
    }
  }
}

function runsOf({ count }: ModelWarmup): number {
  return Math.max(1, count);
}

/** The inputs that the model has, and the names of the others. */
function splitInputs({ inputs }: ModelWarmup, config: ModelConfig) {
  const names = new Set(config.input.map(({ name }) => name));
  const given = Object.entries(inputs);
  return {
    known: given.filter(([name]) => names.has(name)),
    foreign: given.flatMap(([name]) => (names.has(name) ? [] : [name])),
  };
}

function readSample(warmup: ModelWarmup, config: ModelConfig, folder: string): WarmupSample {
  const { known, foreign } = splitInputs(warmup, config);
  // Like Triton, a missing input, which `checkRequest` reports, comes before one that the model does not have.
  const isComplete = config.input.every(({ name, optional }) => optional || warmup.inputs[name] !== undefined);
  if (foreign[0] !== undefined && isComplete) {
    throw sampleFailure(warmup, `Failed to retrieve the ONNX input tensor info from '${foreign[0]}'.`);
  }
  const isBatched = config.maxBatchSize > 0;
  const request = checkRequest(
    {
      id: '',
      parameters: { priority: 0n, timeoutMicroseconds: 0n, sequenceId: 0n, sequenceStart: false, sequenceEnd: false },
      inputs: new Map(known.map(([name, input]) => [name, describeInput(name, input, isBatched, folder)])),
      outputs: new Map(),
      release: () => {},
    },
    config,
  );
  return { name: warmup.name, request, batchSize: warmup.batchSize, runs: runsOf(warmup) };
}

/** Bytes that one batch item of an input takes; a data file is read whole. */
function heldBytes(name: string, input: ModelWarmup_Input, folder: string): number {
  const { byteLength } = measureInput(name, input);
  const source = input.inputDataType;
  return source?.$case === 'inputDataFile' ? dataFile(name, source.value, folder).bytes : byteLength;
}

function measureInput(name: string, { dataType, dims }: ModelWarmup_Input): { type: ElementType; byteLength: number } {
  const type = elementTypeOfConfig(dataType);
  const elements = elementCount(dims);
  if (type === undefined || elements === undefined) {
    throw invalidArgument(`warmup setting expects all variable-size dimensions are specified for input '${name}'`);
  }
  // Zeros are as many empty texts.
  return { type, byteLength: Number(elements) * (type.size || 4) };
}

/** An input whose data is made or read once its type, shape and size have been checked. */
function describeInput(name: string, input: ModelWarmup_Input, isBatched: boolean, folder: string): GivenInput {
  const { type, byteLength } = measureInput(name, input);
  const described = { datatype: type.name, shape: isBatched ? [1n, ...input.dims] : input.dims, byteLength };
  const source = input.inputDataType;
  switch (source?.$case) {
    case 'zeroData':
      return { ...described, read: () => new Uint8Array(byteLength) };
    case 'randomData':
      return {
        ...described,
        read: () => {
          const data = new Uint8Array(byteLength);
          return type.size === 0 ? data : randomFillSync(data);
        },
      };
    case 'inputDataFile': {
      const { file, bytes } = dataFile(name, source.value, folder);
      if (type.size === 0) {
        return { ...described, byteLength: bytes, read: () => readData(file) };
      }
      if (byteLength > bytes) {
        throw invalidArgument(
          `${unknownRequest}warmup setting expects ${byteLength} bytes, but the data provided from ${source.value}only has ${bytes} bytes`,
        );
      }
      return { ...described, read: () => readData(file).subarray(0, byteLength) };
    }
    default:
      throw invalidArgument(`${unknownRequest}warmup setting expects input '${name}' to have input_data_type set`);
  }
}

function dataFile(input: string, name: string, folder: string): { file: string; bytes: number } {
  const field = `input_data_file of input '${input}'`;
  const file = pathWithin(join(folder, warmupFolder), name, field);
  const stats = requireFile(file, field);
  if (!stats) {
    throw unreadable(file, 'No such file or directory');
  }
  return { file, bytes: stats.size };
}

function readData(file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (error) {
    throw unreadable(file, reasonOf(error));
  }
}

function unreadable(file: string, reason: string): FusionError {
  return internal(`failed to open text file for read ${file}: ${reason}`);
}
