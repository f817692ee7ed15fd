import { randomFillSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelConfig, ModelWarmup, ModelWarmup_Input } from '../../../proto/gen/model_config.ts';
import { elementTypeOfConfig } from '../datatypes.ts';
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
/** Bounded, because other loads wait for it. */
const maxRuns = 1000;
/** The size limit of a request. */
const maxBytes = 2 ** 30;
const unknownRequest = requestPrefix('');

/**
 * The samples of `model_warmup`; those of batch size 0 are left out. Throws INVALID_ARGUMENT for inputs that do not fit
 * the model and INTERNAL for a data file that cannot be read.
 */
export function readWarmupSamples(config: ModelConfig, folder: string): WarmupSample[] {
  const warmups = config.modelWarmup.filter(({ batchSize }) => batchSize > 0);
  const runs = warmups.reduce((sum, warmup) => sum + runsOf(warmup), 0);
  if (runs > maxRuns) {
    throw invalidArgument(`model_warmup of model '${config.name}' must ask for at most ${maxRuns} runs (got ${runs})`);
  }
  return warmups.map((warmup) => readSample(warmup, config, folder));
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

function readInput(name: string, input: ModelWarmup_Input, isBatched: boolean, folder: string): GivenInput {
  const type = elementTypeOfConfig(input.dataType);
  const elements = elementCount(input.dims);
  if (type === undefined || elements === undefined) {
    throw invalidArgument(`warmup setting expects all variable-size dimensions are specified for input '${name}'`);
  }
  const shape = isBatched ? [1n, ...input.dims] : input.dims;
  // Zeros are as many empty texts.
  const byteLength = Number(elements) * (type.size || 4);
  if (byteLength > maxBytes) {
    throw invalidArgument(`warmup input '${name}' must have at most ${maxBytes} bytes (got ${byteLength})`);
  }
  const source = input.inputDataType;
  switch (source?.$case) {
    case 'zeroData':
      return givenInput(type.name, shape, new Uint8Array(byteLength));
    case 'randomData': {
      const data = new Uint8Array(byteLength);
      return givenInput(type.name, shape, type.size === 0 ? data : randomFillSync(data));
    }
    case 'inputDataFile': {
      const data = readDataFile(join(folder, dataFolder), source.value);
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

function readDataFile(folder: string, name: string): Uint8Array {
  const file = pathWithin(folder, name, 'input_data_file');
  try {
    return readFileSync(file);
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const reason = isMissing ? 'No such file or directory' : (error as Error).message;
    throw internal(`failed to open text file for read ${file}: ${reason}`);
  }
}
