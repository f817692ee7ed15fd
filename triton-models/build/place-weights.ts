import { link, realpath } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Checkpoint, StoredTensor } from '../checkpoints/checkpoint.ts';
import { readSafetensors } from '../checkpoints/safetensors.ts';
import { writeSafetensors } from '../checkpoints/safetensors-writer.ts';
import { tensorBytes } from '../checkpoints/tensor-bytes.ts';

/** Usual name of the one file with a model's weights. */
export const weightsFile = 'weights.safetensors';
const convertedFile = 'converted.safetensors';

/**
 * Puts the tensors of these names into a model's folder: the checkpoint's files themselves as hard links, and in a file
 * of its own whatever can't stay in them: tensors with strides, and all those of a file that can't be linked, because
 * it lies on another file system. → the tensors where they lie in the folder.
 */
export async function placeWeights(
  checkpoint: Checkpoint,
  names: Iterable<string>,
  folder: string,
  signal?: AbortSignal,
): Promise<Checkpoint> {
  const needed = new Map([...names].map((name) => [name, checkpoint.tensors.get(name)!]));
  const tensors = new Map<string, StoredTensor>();
  const linked = await linkFiles([...needed.values()].filter(isInOrder), folder);
  for (const [name, stored] of needed) {
    const file = linked.get(stored.file);
    if (file !== undefined && isInOrder(stored)) {
      tensors.set(name, { ...stored, file });
      needed.delete(name);
    }
  }
  if (needed.size > 0) {
    const isTaken = [...linked.values()].some((file) => basename(file) === weightsFile);
    const path = join(folder, isTaken ? convertedFile : weightsFile);
    await writeSafetensors(path, needed, (name) => piecesUntil(needed.get(name)!, signal));
    for (const [name, stored] of (await readSafetensors(path)).tensors) {
      tensors.set(name, stored);
    }
  }
  return { path: checkpoint.path, tensors };
}

const isInOrder = ({ strides }: StoredTensor) => strides === undefined;

/** → for every file that could be linked, its path in the folder. */
async function linkFiles(tensors: readonly StoredTensor[], folder: string): Promise<Map<string, string>> {
  const files = [...new Set(tensors.map(({ file }) => file))];
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

async function* piecesUntil(stored: StoredTensor, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  for await (const piece of tensorBytes(stored)) {
    signal?.throwIfAborted();
    yield piece;
  }
}
