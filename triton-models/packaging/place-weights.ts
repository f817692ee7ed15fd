import { realpath, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { byteLength } from '../../services/pipeline/safetensors/element-types.ts';
import type { Checkpoint, StoredTensor } from '../checkpoints/checkpoint.ts';
import { convertElements } from '../checkpoints/convert-elements.ts';
import { pulledFile } from '../checkpoints/pull-record.ts';
import { readSafetensors } from '../checkpoints/safetensors.ts';
import { writeSafetensors } from '../checkpoints/safetensors-writer.ts';
import { tensorBytes } from '../checkpoints/tensor-bytes.ts';
import type { ParameterType } from '../checkpoints/weights.ts';
import { placeFile } from './place-file.ts';

/** Default name of a model's weights file. */
export const weightsFile = 'weights.safetensors';
const convertedFile = 'converted.safetensors';

/** Precision of parameters to convert; the others stay as they are. */
export type WantedTypes = ReadonlyMap<string, ParameterType>;

/** The locations of a model's tensors in its folder. */
export interface PlacedWeights {
  checkpoint: Checkpoint;
  /** SHA-256 of files in the folder by path, as far as already known. */
  hashes: ReadonlyMap<string, string>;
}

export interface PlaceOptions {
  /** Precision of parameters to convert. */
  wanted?: WantedTypes | undefined;
  /** Whether files, or which of them, may be hard-linked even if another program might rewrite them. */
  link?: boolean | ReadonlySet<string> | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Places the named tensors in a model's folder: the checkpoint's own files where possible, and a new file for the rest
 * (tensors that are strided, need another precision, or come from a file that is mostly unused). Files are copied, so
 * that rewriting a checkpoint does not affect a running server; files written by `pull`, or all with `link`, are
 * hard-linked if the file system allows it.
 */
export async function placeWeights(
  checkpoint: Checkpoint,
  names: Iterable<string>,
  folder: string,
  { wanted = new Map(), link = false, signal }: PlaceOptions = {},
): Promise<PlacedWeights> {
  const needed = new Map([...names].map((name) => [name, checkpoint.tensors.get(name)!]));
  const canStay = (name: string) => {
    const { dataType, strides } = needed.get(name)!;
    return strides === undefined && (wanted.get(name) ?? dataType) === dataType;
  };
  const staying = new Map([...needed].filter(([name]) => canStay(name)));
  const files = await filesWorthTaking(needed.values(), staying.values());
  const tensors = new Map<string, StoredTensor>();
  const hashes = new Map<string, string>();
  for (const [file, path] of targets(files, folder)) {
    const mayLink = typeof link === 'boolean' ? link : link.has(file);
    const hash = await placeCheckpoint(file, path, mayLink, signal);
    if (hash !== undefined) {
      hashes.set(path, hash);
    }
    for (const [name, stored] of staying) {
      if (stored.file === file) {
        tensors.set(name, { ...stored, file: path });
        needed.delete(name);
      }
    }
  }
  if (needed.size > 0) {
    const isTaken = [...tensors.values()].some(({ file }) => basename(file) === weightsFile);
    const path = join(folder, isTaken ? convertedFile : weightsFile);
    const planned = new Map(
      [...needed].map(([name, { dataType, shape }]) => [name, { dataType: wanted.get(name) ?? dataType, shape }]),
    );
    await writeSafetensors(path, planned, (name) => converted(name, needed.get(name)!, wanted, signal));
    for (const [name, stored] of (await readSafetensors(path)).tensors) {
      tensors.set(name, stored);
    }
  }
  return { checkpoint: { path: checkpoint.path, tensors }, hashes };
}

/** The files of which at least half of the needed tensors can be used in place, and that contain little else. */
async function filesWorthTaking(needed: Iterable<StoredTensor>, staying: Iterable<StoredTensor>): Promise<string[]> {
  const [all, kept] = [bytesByFile(needed), bytesByFile(staying)];
  const files: string[] = [];
  for (const [file, bytes] of kept) {
    if (2 * bytes >= all.get(file)! && 2 * bytes >= (await stat(file)).size) {
      files.push(file);
    }
  }
  return files;
}

function bytesByFile(tensors: Iterable<StoredTensor>): Map<string, number> {
  const bytes = new Map<string, number>();
  for (const { file, dataType, shape } of tensors) {
    bytes.set(file, (bytes.get(file) ?? 0) + byteLength(dataType, shape));
  }
  return bytes;
}

/** Where each file goes. */
function targets(files: readonly string[], folder: string): Map<string, string> {
  const paths = new Map<string, string>();
  const taken = new Set<string>();
  for (const file of files) {
    const isOnly = files.length === 1 && !/\.(pt|pth|bin)$/.test(file);
    const name = isOnly ? weightsFile : basename(file);
    const unique = taken.has(name) ? `${paths.size}-${name}` : name;
    taken.add(unique);
    paths.set(file, join(folder, unique));
  }
  return paths;
}

/** Returns the file's SHA-256, if known. Files written by `pull` are always linked. */
async function placeCheckpoint(
  file: string,
  target: string,
  link: boolean,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const pulled = await pulledFile(await realpath(file));
  const hash = await placeFile(file, target, { link: link || pulled !== undefined, signal });
  return hash ?? pulled?.sha256;
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
    yield to === undefined ? piece : convertElements(piece, from, to);
  }
}
