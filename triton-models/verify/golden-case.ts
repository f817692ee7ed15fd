import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { parseJson } from '../../services/kit/parse-json.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';
import { elementTypeNamed } from '../../services/pipeline/element-types.ts';
import { type Tensor, tensorFromBytes } from '../../services/pipeline/tensor.ts';
import type { Checkpoint } from '../checkpoints/checkpoint.ts';
import { openCheckpoint } from '../checkpoints/open-checkpoint.ts';
import { readSafetensors, readTensorBytes, type Safetensors } from '../checkpoints/safetensors.ts';

/** A folder of inputs and reference outputs: `config.json`, `io.safetensors`, and `weights.safetensors` or `weights.pt`. */
export interface GoldenCase {
  folder: string;
  config: Record<string, unknown>;
  io: Safetensors;
  /** A tensor of `io.safetensors`. Throws FAILED_PRECONDITION if it is missing or neither float32 nor int64. */
  tensor(name: string): Promise<Tensor>;
  /** The folder's checkpoint `<name>.safetensors`, else `<name>.pt`. */
  checkpoint(name: string): Promise<Checkpoint>;
}

/** Opens a case. Throws NOT_FOUND or FAILED_PRECONDITION naming the file at fault. */
export async function openGoldenCase(folder: string): Promise<GoldenCase> {
  const config = await readConfig(join(folder, 'config.json'));
  const io = await readSafetensors(join(folder, 'io.safetensors'));
  return {
    folder,
    config,
    io,
    checkpoint: async (name) => {
      const [usual, pytorch] = ['.safetensors', '.pt'].map((ending) => join(folder, `${name}${ending}`));
      const isThere = (path: string) =>
        access(path).then(
          () => true,
          () => false,
        );
      const isPyTorch = !(await isThere(usual!)) && (await isThere(pytorch!));
      return openCheckpoint(isPyTorch ? pytorch! : usual!);
    },
    tensor: async (name) => {
      const entry = io.tensors.get(name);
      const dataType = entry && elementTypeNamed('safetensors', entry.dataType);
      if (dataType !== 'float32' && dataType !== 'int64') {
        const found = entry === undefined ? 'nothing' : entry.dataType;
        throw brokenCase(`${io.path}: \`${name}\` must be a tensor of type F32 or I64 (got ${found})`);
      }
      return tensorFromBytes(dataType, entry!.shape, await readTensorBytes(io, name));
    },
  };
}

/** FAILED_PRECONDITION for a case that cannot be checked. */
export function brokenCase(message: string): FusionError {
  return new FusionError(Status.FAILED_PRECONDITION, `case: ${message}`, { reason: 'BROKEN_CASE', field: 'case' });
}

async function readConfig(path: string): Promise<Record<string, unknown>> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new FusionError(
      Status.NOT_FOUND,
      `case: ${path} can't be read (${reasonOf(error)}); a case is a folder of config.json, ` +
        'io.safetensors and weights.safetensors or weights.pt',
      { reason: 'CASE_NOT_FOUND', field: 'case', cause: error },
    );
  }
  try {
    const config = parseJson(text);
    if (typeof config === 'object' && config !== null && !Array.isArray(config)) {
      return config as Record<string, unknown>;
    }
  } catch (error) {
    throw brokenCase(`${path}: ${(error as Error).message}`);
  }
  throw brokenCase(`${path} must hold a JSON object`);
}
