import { link, realpath } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { byteLength } from '../../services/pipeline/safetensors/element-types.ts';
import type { Checkpoint, StoredTensor } from '../checkpoints/checkpoint.ts';
import { convertElements } from '../checkpoints/convert-elements.ts';
import { readSafetensors } from '../checkpoints/safetensors.ts';
import { writeSafetensors } from '../checkpoints/safetensors-writer.ts';
import { tensorBytes } from '../checkpoints/tensor-bytes.ts';
import type { ParameterType } from '../checkpoints/weights.ts';

/** Usual name of the one file with a model's weights. */
export const weightsFile = 'weights.safetensors';
const convertedFile = 'converted.safetensors';

/** Precisions that parameters are wanted in; the others stay as they are. */
export type WantedTypes = ReadonlyMap<string, 'F16' | 'F32'>;

/**
 * Puts the tensors of these names into a model's folder: the checkpoint's files themselves as hard links, and in a file
 * of its own whatever can't stay in them: tensors with strides or of another precision than `wanted`, and all those of a
 * file of which little would be used, or which can't be linked, because it lies on another file system. → the tensors
 * where they lie in the folder.
 */
export async function placeWeights(
  checkpoint: Checkpoint,
  names: Iterable<string>,
  folder: string,
  wanted: WantedTypes = new Map(),
  signal?: AbortSignal,
): Promise<Checkpoint> {
  const needed = new Map([...names].map((name) => [name, checkpoint.tensors.get(name)!]));
  const canStay = (name: string) => {
    const { dataType, strides } = needed.get(name)!;
    return strides === undefined && (wanted.get(name) ?? dataType) === dataType;
  };
  const staying = new Map([...needed].filter(([name]) => canStay(name)));
  const tensors = new Map<string, StoredTensor>();
  const linked = await linkFiles(filesWorthLinking(needed.values(), staying.values()), folder);
  for (const [name, stored] of staying) {
    const file = linked.get(stored.file);
    if (file !== undefined) {
      tensors.set(name, { ...stored, file });
      needed.delete(name);
    }
  }
  if (needed.size > 0) {
    const isTaken = [...linked.values()].some((file) => basename(file) === weightsFile);
    const path = join(folder, isTaken ? convertedFile : weightsFile);
    const planned = new Map(
      [...needed].map(([name, { dataType, shape }]) => [name, { dataType: wanted.get(name) ?? dataType, shape }]),
    );
    await writeSafetensors(path, planned, (name) => converted(name, needed.get(name)!, wanted, signal));
    for (const [name, stored] of (await readSafetensors(path)).tensors) {
      tensors.set(name, stored);
    }
  }
  return { path: checkpoint.path, tensors };
}

/** The files that at least half of what is needed from them can stay in: a link brings the whole file along. */
function filesWorthLinking(needed: Iterable<StoredTensor>, staying: Iterable<StoredTensor>): string[] {
  const [all, kept] = [bytesByFile(needed), bytesByFile(staying)];
  return [...kept].filter(([file, bytes]) => 2 * bytes >= all.get(file)!).map(([file]) => file);
}

function bytesByFile(tensors: Iterable<StoredTensor>): Map<string, number> {
  const bytes = new Map<string, number>();
  for (const { file, dataType, shape } of tensors) {
    bytes.set(file, (bytes.get(file) ?? 0) + byteLength(dataType, shape));
  }
  return bytes;
}

/** → for every file that could be linked, its path in the folder. */
async function linkFiles(files: readonly string[], folder: string): Promise<Map<string, string>> {
  const linked = new Map<string, string>();
  for (const file of files) {
    const isOnly = files.length === 1 && !/\.(pt|pth|bin)$/.test(file);
    const isTaken = [...linked.values()].some((other) => basename(other) === basename(file));
    const target = join(folder, isOnly ? weightsFile : `${isTaken ? `${linked.size}-` : ''}${basename(file)}`);
    if (await canLink(file, target)) {
      linked.set(file, target);
    }
  }
  return linked;
}

/** A symbolic link would not do: ONNX Runtime refuses weights that lie outside the model's folder. */
async function canLink(file: string, target: string): Promise<boolean> {
  try {
    await link(await realpath(file), target);
    return true;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (!['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'EACCES'].includes(code)) {
      throw error;
    }
    return false;
  }
}

async function* converted(
  name: string,
  stored: StoredTensor,
  wanted: WantedTypes,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const from = stored.dataType as ParameterType;
  for await (const piece of tensorBytes(stored)) {
    signal?.throwIfAborted();
    const to = wanted.get(name);
    yield to === undefined ? piece : convertElements(name, piece, from, to);
  }
}
