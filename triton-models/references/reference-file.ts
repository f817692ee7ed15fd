import { mkdir, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { elementTypeNamed, elementTypes } from '../../services/pipeline/element-types.ts';
import { isDataType, type Tensor, tensorBytes, tensorFromBytes } from '../../services/pipeline/tensor.ts';
import { readSafetensors, readTensorBytes } from '../checkpoints/safetensors.ts';
import { writeSafetensors } from '../checkpoints/safetensors-writer.ts';

/** Inputs of a model, and what it gives for them in float32. */
export interface Reference {
  /** Of the engine's profile that takes these shapes. */
  name: string;
  inputs: Record<string, Tensor>;
  outputs: Record<string, Tensor>;
}

/** Folder in a model's folder. */
const referencesFolder = 'references';
const ending = '.safetensors';

/** Writes a reference into a model's folder. Returns the file's path. */
export async function writeReference(modelFolder: string, { name, inputs, outputs }: Reference): Promise<string> {
  const folder = join(modelFolder, referencesFolder);
  await mkdir(folder, { recursive: true });
  const path = join(folder, `${name}${ending}`);
  const tensors = new Map([...prefixed('inputs', inputs), ...prefixed('outputs', outputs)]);
  const entries = new Map(
    [...tensors].map(([key, { dataType, shape }]) => [key, { dataType: elementTypes[dataType].safetensors, shape }]),
  );
  await writeSafetensors(path, entries, (key) => tensorBytes(tensors.get(key)!));
  return path;
}

function prefixed(prefix: string, tensors: Record<string, Tensor>): [string, Tensor][] {
  return Object.entries(tensors).map(([name, value]) => [`${prefix}.${name}`, value]);
}

/** Paths of the references in a model's folder; none if none were recorded. */
export async function listReferences(modelFolder: string): Promise<string[]> {
  const folder = join(modelFolder, referencesFolder);
  const names = await readdir(folder).catch(() => []);
  return names
    .filter((name) => name.endsWith(ending))
    .map((name) => join(folder, name))
    .sort();
}

/** Throws FAILED_PRECONDITION naming a file that is not a reference. */
export async function readReference(path: string): Promise<Reference> {
  const file = await readSafetensors(path);
  const reference: Reference = { name: basename(path, ending), inputs: {}, outputs: {} };
  for (const [key, { dataType, shape }] of file.tensors) {
    const [kind, name] = key.split('.') as [string, string?];
    const type = elementTypeNamed('safetensors', dataType);
    if (!(kind === 'inputs' || kind === 'outputs') || name === undefined || !isDataType(type)) {
      const message = `${path}: \`${key}\` must be inputs.<name> or outputs.<name> (got type ${dataType})`;
      throw new FusionError(Status.FAILED_PRECONDITION, message, { reason: 'BROKEN_CASE', field: 'case' });
    }
    reference[kind][name] = tensorFromBytes(type, shape, await readTensorBytes(file, key));
  }
  return reference;
}
