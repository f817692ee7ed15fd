import { randomFillSync } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelConfig, ModelWarmup, ModelWarmup_Input } from '../../../proto/gen/model_config.ts';
import { type ElementType, elementTypeOfConfig } from '../datatypes.ts';
import { internal, invalidArgument, requestPrefix } from '../errors.ts';
import type { ModelRequest } from '../model.ts';
import { checkRequest } from '../requests/check-request.ts';
import { type GivenInput, givenInput } from '../requests/read-request.ts';
import { elementCount } from '../shapes.ts';
import { pathWithin } from './config-paths.ts';

/** Requests that a new instance runs before it serves. */
export interface WarmupSample {
  readonly name: string;
  /** One batch item; a run repeats it `batchSize` times. */
  readonly request: ModelRequest;
  readonly batchSize: number;
  readonly runs: number;
  /** An input that the model does not have. */
  readonly foreignInput: string | undefined;
}

const dataFolder = 'warmup';
/** What the samples of a model may ask for together: other loads wait for them, and each run holds its batch in memory. */
const limits = { runs: 1000, requests: 100_000, 'bytes of input': 2 ** 30 };
const unknownRequest = requestPrefix('');

/**
 * The samples of `model_warmup`; those of batch size 0 are left out. Throws INVALID_ARGUMENT for inputs that do not fit
 * the model and for more work than a warm-up may be, and INTERNAL for a data file that cannot be read.
 */
export function readWarmupSamples(config: ModelConfig, folder: string): WarmupSample[] {
  const warmups = config.modelWarmup.filter(({ batchSize }) => batchSize > 0);
  limitWork(warmups, config.name, folder);
  return warmups.map((warmup) => readSample(warmup, config, folder));
}

/** Comes before anything is allocated. */
function limitWork(warmups: readonly ModelWarmup[], model: string, folder: string): void {
  const totals = { runs: 0, requests: 0, 'bytes of input': 0 };
  for (const warmup of warmups) {
    totals.runs += runsOf(warmup);
    totals.requests += runsOf(warmup) * warmup.batchSize;
    for (const [name, input] of Object.entries(warmup.inputs)) {
      totals['bytes of input'] += warmup.batchSize * heldBytes(name, input, folder);
    }
  }
  for (const unit of ['runs', 'requests', 'bytes of input'] as const) {
    if (totals[unit] > limits[unit]) {
      throw invalidArgument(
        `model_warmup of model '${model}' must ask for at most ${limits[unit]} ${unit} (got ${totals[unit]})`,
      );
    }
  }
}

function runsOf({ count }: ModelWarmup): number {
  return Math.max(1, count);
}

function readSample(warmup: ModelWarmup, config: ModelConfig, folder: string): WarmupSample {
  const known = new Set(config.input.map(({ name }) => name));
  const given = Object.entries(warmup.inputs).map(
    ([name, input]) => [name, readInput(name, input, known.has(name) && config.maxBatchSize > 0, folder)] as const,
  );
  const request = checkRequest(
    {
      id: '',
      parameters: { priority: 0n, timeoutMicroseconds: 0n, sequenceId: 0n, sequenceStart: false, sequenceEnd: false },
      inputs: new Map(given.filter(([name]) => known.has(name))),
      outputs: new Map(),
      release: () => {},
    },
    config,
  );
  return {
    name: warmup.name,
    request,
    batchSize: warmup.batchSize,
    runs: runsOf(warmup),
    foreignInput: given.find(([name]) => !known.has(name))?.[0],
  };
}

/** Bytes that one batch item of an input takes. */
function heldBytes(name: string, input: ModelWarmup_Input, folder: string): number {
  const { type, byteLength } = measureInput(name, input);
  const source = input.inputDataType;
  // A file of texts tells by its own size how long these are.
  return source?.$case === 'inputDataFile' && type.size === 0
    ? useDataFile(join(folder, dataFolder), source.value, (file) => statSync(file).size)
    : byteLength;
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

function readInput(name: string, input: ModelWarmup_Input, isBatched: boolean, folder: string): GivenInput {
  const { type, byteLength } = measureInput(name, input);
  const shape = isBatched ? [1n, ...input.dims] : input.dims;
  const source = input.inputDataType;
  switch (source?.$case) {
    case 'zeroData':
      return givenInput(type.name, shape, new Uint8Array(byteLength));
    case 'randomData': {
      const data = new Uint8Array(byteLength);
      return givenInput(type.name, shape, type.size === 0 ? data : randomFillSync(data));
    }
    case 'inputDataFile': {
      const data = useDataFile(join(folder, dataFolder), source.value, (file) => readFileSync(file));
      if (type.size === 0) {
        return givenInput(type.name, shape, data);
      }
      if (byteLength > data.byteLength) {
        throw invalidArgument(
          `${unknownRequest}warmup setting expects ${byteLength} bytes, but the data provided from ${source.value}only has ${data.byteLength} bytes`,
        );
      }
      return givenInput(type.name, shape, data.subarray(0, byteLength));
    }
    default:
      throw invalidArgument(`${unknownRequest}warmup setting expects input '${name}' to have input_data_type set`);
  }
}

function useDataFile<T>(folder: string, name: string, use: (file: string) => T): T {
  const file = pathWithin(folder, name, 'input_data_file');
  try {
    return use(file);
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const reason = isMissing ? 'No such file or directory' : (error as Error).message;
    throw internal(`failed to open text file for read ${file}: ${reason}`);
  }
}
