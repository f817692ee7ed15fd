import { randomFillSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { ModelConfig, ModelWarmup, ModelWarmup_Input } from '../../../proto/gen/model_config.ts';
import { elementTypeOfConfig } from '../datatypes.ts';
import { internal, invalidArgument, requestPrefix } from '../errors.ts';
import type { ModelRequest } from '../model.ts';
import { checkRequest } from '../requests/check-request.ts';
import type { GivenInput } from '../requests/read-request.ts';
import { elementCount } from '../shapes.ts';

/** Requests that a new instance runs before it serves. */
export interface WarmupSample {
  readonly name: string;
  /** One batch item; the run joins `batchSize` of it. */
  readonly request: ModelRequest;
  readonly batchSize: number;
  readonly runs: number;
  /** An input that the sample has and the model has not. */
  readonly foreignInput: string | undefined;
}

const dataFolder = 'warmup';
const unknownRequest = requestPrefix('');

/**
 * The samples of `model_warmup`; those of batch size 0 are left out. Throws INVALID_ARGUMENT for inputs that do not fit
 * the model and INTERNAL for a data file that cannot be read.
 */
export function readWarmupSamples(config: ModelConfig, folder: string): WarmupSample[] {
  return config.modelWarmup
    .filter(({ batchSize }) => batchSize > 0)
    .map((warmup) => readSample(warmup, config, folder));
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
    runs: Math.max(1, warmup.count),
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
  const source = input.inputDataType;
  switch (source?.$case) {
    case 'zeroData':
      return { datatype: type.name, shape, data: new Uint8Array(byteLength) };
    case 'randomData': {
      const data = new Uint8Array(byteLength);
      return { datatype: type.name, shape, data: type.size === 0 ? data : randomFillSync(data) };
    }
    case 'inputDataFile': {
      const data = readDataFile(join(folder, dataFolder), source.value);
      if (type.size === 0) {
        return { datatype: type.name, shape, data };
      }
      if (byteLength > data.byteLength) {
        throw invalidArgument(
          `${unknownRequest}warmup setting expects ${byteLength} bytes, but the data provided from ${source.value}only has ${data.byteLength} bytes`,
        );
      }
      return { datatype: type.name, shape, data: data.subarray(0, byteLength) };
    }
    default:
      throw invalidArgument(`${unknownRequest}warmup setting expects input '${name}' to have input_data_type set`);
  }
}

function readDataFile(folder: string, name: string): Uint8Array {
  const file = join(folder, name);
  if (relative(folder, file).startsWith('..')) {
    throw invalidArgument(`input_data_file '${name}': it must stay within the model's folder '${dataFolder}'`);
  }
  try {
    return readFileSync(file);
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const reason = isMissing ? 'No such file or directory' : (error as Error).message;
    throw internal(`failed to open text file for read ${file}: ${reason}`);
  }
}
