import { realpathSync, type Stats, statSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import type { ModelConfig } from '../../../proto/gen/model_config.ts';
import { reasonOf } from '../../kit/reason-of.ts';
import { internal, invalidArgument } from '../errors.ts';

/**
 * The path of a file named in a model's configuration, with links resolved if it exists. Clients can send configurations and
 * could otherwise read or probe any file. Throws INVALID_ARGUMENT for a path outside the model's folder.
 *
 * @param field of the configuration, with the model's name
 */
export function pathWithin(folder: string, name: string, field: string): string {
  const file = join(folder, name);
  if (name.includes('\0') || !isWithin(folder, file) || !isWithin(resolved(folder), resolved(file))) {
    throw invalidArgument(`${field}: '${name}' must stay within the model's folder`);
  }
  return file;
}

/** Folder of a model's warm-up data. */
export const warmupFolder = 'warmup';

/** Throws INVALID_ARGUMENT if a path in the configuration leaves the model's folder, even one that is not used. */
export function requirePathsWithin(folder: string, version: bigint, config: ModelConfig): void {
  const inVersion = (file: string) => join(String(version), file);
  const samples = config.modelWarmup.flatMap(({ inputs }) => Object.values(inputs));
  const paths: [field: string, path: string][] = [
    ['default_model_filename', inVersion(config.defaultModelFilename)],
    ...Object.values(config.ccModelFilenames).map((file): [string, string] => ['cc_model_filenames', inVersion(file)]),
    ...config.output.map(({ labelFilename }): [string, string] => ['label_filename', labelFilename]),
    ...samples.flatMap(({ inputDataType }): [string, string][] =>
      inputDataType?.$case === 'inputDataFile' ? [['input_data_file', join(warmupFolder, inputDataType.value)]] : [],
    ),
  ];
  for (const [field, path] of paths) {
    pathWithin(folder, path, `${field} of model '${config.name}'`);
  }
}

/**
 * The facts of a file named in a model's configuration; `undefined` if there is none. Throws INVALID_ARGUMENT for a folder,
 * a device or a pipe.
 *
 * @param field of the configuration, with the model's name
 */
export function requireFile(file: string, field: string): Stats | undefined {
  let stats: Stats | undefined;
  try {
    stats = statSync(file, { throwIfNoEntry: false });
  } catch (error) {
    throw internal(`${field} can't be read: ${reasonOf(error)}`);
  }
  if (stats && !stats.isFile()) {
    throw invalidArgument(
      `${field} must be a file (got ${stats.isDirectory() ? 'the folder' : 'the special file'} '${file}')`,
    );
  }
  return stats;
}

function isWithin(folder: string, file: string): boolean {
  const path = relative(folder, file);
  return path !== '..' && !path.startsWith(`..${sep}`);
}

/** A missing file has no links, but its folder may be one. */
function resolved(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const parent = join(path, '..');
    return parent === path ? path : join(resolved(parent), path.slice(parent.length));
  }
}
