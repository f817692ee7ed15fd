import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Status } from 'nice-grpc-common';
import { FusionError, toFusionError } from '../../services/kit/errors.ts';
import { sha256OfFile } from '../../services/kit/file-hashes.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';
import type { StoredTensor } from '../checkpoints/checkpoint.ts';
import { findLarge } from '../checkpoints/find-large.ts';
import { readMetadata, readSafetensors } from '../checkpoints/safetensors.ts';
import { pieceLength } from '../checkpoints/tensor-bytes.ts';
import type { ParameterType } from '../checkpoints/weights.ts';
import { type LoraLayer, rankOf } from './lora-layer.ts';
import { arePeftNames, type LoraPart, otherKindOf, parseLoraName } from './lora-names.ts';
import { factorOf, type LoraSettings, readLoraSettings } from './lora-settings.ts';
import { readNumber } from './read-number.ts';

/** An opened LoRA file. */
export interface LoraFile {
  /** Name without its folders. */
  name: string;
  sha256: string;
  layers: readonly LoraLayer[];
  /** Names of tensors that belong to no layer. */
  others: readonly string[];
  /** Sentences for the user about what was assumed. */
  notes: readonly string[];
}

/** What peft calls the file in an adapter's folder. */
const folderFile = 'adapter_model.safetensors';
const matrixTypes: readonly string[] = ['F32', 'F16', 'BF16'] satisfies ParameterType[];

/** FAILED_PRECONDITION for a LoRA that cannot be merged. */
export function unfitLora(name: string, fault: string): FusionError {
  return new FusionError(Status.FAILED_PRECONDITION, `lora: ${name} ${fault}`, {
    reason: 'CHECKPOINT_MISMATCH',
    field: 'lora',
  });
}

/**
 * Reads the layers of a LoRA from a safetensors file or from the folder in which peft saved it, named as diffusers, kohya or
 * peft name them. Throws NOT_FOUND if it does not exist and FAILED_PRECONDITION, naming file and tensor, if it is invalid,
 * incomplete, of another kind (such as LoHa) or has values that are NaN or infinite.
 */
export async function readLora(given: string, signal?: AbortSignal): Promise<LoraFile> {
  const path = (await isFolder(given)) ? join(given, folderFile) : given;
  const name = basename(path);
  const { tensors } = await readSafetensors(path).catch(asLoraFault);
  const settings = await settingsOf(path, [...tensors.keys()]);
  const room = Buffer.allocUnsafeSlow(pieceLength);
  const parts = new Map<string, Partial<Record<LoraPart['part'], StoredTensor>>>();
  const others: string[] = [];
  for (const [tensor, stored] of tensors) {
    const kind = otherKindOf(tensor);
    if (kind !== undefined) {
      throw unfitLora(name, `is not a plain LoRA: \`${tensor}\` belongs to ${kind}, which cannot be merged`);
    }
    const part = parseLoraName(tensor);
    if (part === undefined) {
      others.push(tensor);
      continue;
    }
    if (part.part !== 'alpha') {
      await checkValues(name, tensor, stored, room, signal);
    }
    const known = parts.get(part.path) ?? {};
    if (known[part.part] !== undefined) {
      throw unfitLora(name, `has two adapters: \`${tensor}\` is the second of its layer`);
    }
    parts.set(part.path, { ...known, [part.part]: stored });
  }
  if (parts.size === 0) {
    const first = [...tensors.keys()][0];
    const has = first === undefined ? 'it has no tensors' : `its first tensor is \`${first}\``;
    throw unfitLora(name, `is not a LoRA: no name ends in lora_A.weight, lora_down.weight or lora.down.weight; ${has}`);
  }
  const layers: LoraLayer[] = [];
  for (const [layer, { alpha, ...matrices }] of parts) {
    layers.push(await completeLayer(name, layer, matrices, alpha, settings));
  }
  const hasAlpha = [...parts.values()].some(({ alpha }) => alpha !== undefined) || settings.size > 0;
  const notes = hasAlpha ? [] : ['it has no alpha, so that its rank is taken for it'];
  return { name, sha256: await sha256OfFile(path, undefined, signal), layers, others, notes };
}

async function settingsOf(path: string, names: readonly string[]): Promise<Map<string, LoraSettings>> {
  try {
    return await readLoraSettings(path, await readMetadata(path), arePeftNames(names));
  } catch (error) {
    throw unfitLora(basename(path), `cannot be scaled: ${reasonOf(error)}`);
  }
}

async function checkValues(
  name: string,
  tensor: string,
  stored: StoredTensor,
  room: Buffer<ArrayBuffer>,
  signal?: AbortSignal,
): Promise<void> {
  if (!matrixTypes.includes(stored.dataType)) {
    throw unfitLora(name, `has \`${tensor}\` of type ${stored.dataType}, which must be F32, F16 or BF16`);
  }
  const at = await findLarge(stored, 'F32', room, signal);
  if (at !== undefined) {
    throw unfitLora(name, `must have finite numbers: element ${at} of \`${tensor}\` is NaN or infinite`);
  }
}

async function completeLayer(
  name: string,
  path: string,
  { down, up, mid }: Partial<Pick<LoraLayer, 'down' | 'up' | 'mid'>>,
  alpha: StoredTensor | undefined,
  settings: ReadonlyMap<string, LoraSettings>,
): Promise<LoraLayer> {
  if (down === undefined || up === undefined) {
    throw unfitLora(name, `is incomplete: \`${path}\` lacks its ${down === undefined ? 'down' : 'up'} matrix`);
  }
  const layer = { path, down, up, ...(mid && { mid }) };
  const rank = rankOf(layer);
  if ([down, up, ...(mid ? [mid] : [])].some(({ shape }) => shape.length < 2 || shape.includes(0))) {
    throw unfitLora(name, `has matrices of \`${path}\` with fewer than two axes or without elements`);
  }
  if (alpha !== undefined) {
    return { ...layer, factor: (await readAlpha(name, path, alpha)) / rank };
  }
  const own = [...settings].find(([prefix]) => path.startsWith(prefix))?.[1];
  return { ...layer, factor: own === undefined ? 1 : factorOf(own, path, rank) };
}

async function readAlpha(name: string, path: string, stored: StoredTensor): Promise<number> {
  const alpha = await readNumber(stored);
  if (alpha === undefined || !Number.isFinite(alpha)) {
    const got = alpha ?? `${stored.dataType} of shape [${stored.shape}]`;
    throw unfitLora(name, `must have one finite number as alpha of \`${path}\` (got ${got})`);
  }
  return alpha;
}

/** Faults of reading name the option instead of the checkpoint. */
function asLoraFault(error: unknown): never {
  const { code, message, reason } = toFusionError(error);
  throw new FusionError(code, message.replace(/^checkpoint:/, 'lora:'), { reason, field: 'lora', cause: error });
}

function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}
