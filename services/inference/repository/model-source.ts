import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ModelConfig } from '../../../proto/gen/model_config.ts';
import { makeTemporaryFolder } from '../../kit/temporary-folder.ts';
import { invalidArgument } from '../errors.ts';
import { completeDefaults, isEnsemble } from './complete-config.ts';
import { pathWithin, requireFile } from './config-paths.ts';
import { type FolderTimes, folderTimes, hasInVersion } from './model-folder.ts';
import { requireModelName } from './model-name.ts';
import { configFromJson, configFromText } from './read-config.ts';
import { validateConfig, validateTensors } from './validate-config.ts';

/** What a load request may override in the repository. */
export interface LoadOverrides {
  /** Configuration in JSON; replaces `config.pbtxt` as a whole. */
  config: string | undefined;
  /** Files by their path within the model's folder; replace that folder as a whole. */
  files: ReadonlyMap<string, Uint8Array>;
}

const maxConfigBytes = 4 << 20;

export const noOverrides: LoadOverrides = { config: undefined, files: new Map() };

/** A model's folder and configuration as last read. */
export interface ModelSource {
  readonly name: string;
  readonly folder: string;
  /** Completed as far as possible without the model's file. */
  readonly config: ModelConfig;
  /** State of the folder; a later one causes a reload. */
  times: FolderTimes;
  /** Loaded by name, not only as a member of an ensemble. */
  isExplicit: boolean;
  /** Created from files in a load request. */
  readonly isOverridden: boolean;
  /** Removes the files of an override. */
  dispose(): void;
}

/**
 * Reads a model's folder and configuration. `undefined`: nothing changed since `previous`. Throws INVALID_ARGUMENT if the
 * name is not a plain folder name, the model does not exist, or its configuration is invalid.
 *
 * @param mayComplete whether a missing configuration may be derived from the model
 */
export function readSource(
  repository: string,
  name: string,
  overrides: LoadOverrides,
  previous: ModelSource | undefined,
  mayComplete: boolean,
): ModelSource | undefined {
  requireModelName(name);
  const hasFiles = overrides.files.size > 0;
  const folder = hasFiles ? writeFiles(overrides) : join(repository, name);
  const dispose = () => {
    if (hasFiles) {
      rmSync(folder, { recursive: true, force: true });
    }
  };
  try {
    if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
      throw invalidArgument(`model '${name}' is not in the repository`);
    }
    const times = hasFiles ? { newest: 0n, entries: new Map() } : folderTimes(folder);
    if (overrides.config !== undefined) {
      // Newer than all files, so that a later load without override keeps it as long as no file changes.
      times.newest = BigInt(Date.now()) * 1_000_000n;
    } else if (previous && times.newest <= previous.times.newest) {
      return undefined;
    }
    const config = completeDefaults(readConfig(folder, name, overrides, mayComplete), (file) =>
      hasInVersion(folder, file),
    );
    validateConfig(config, name);
    if (!mayComplete || isEnsemble(config)) {
      validateTensors(config);
    }
    return { name, folder, config, times, isExplicit: true, isOverridden: hasFiles, dispose };
  } catch (error) {
    dispose();
    throw error;
  }
}

function readConfig(folder: string, name: string, overrides: LoadOverrides, mayComplete: boolean): ModelConfig {
  const file = join(folder, 'config.pbtxt');
  let config: ModelConfig;
  if (overrides.config !== undefined) {
    limitConfig(Buffer.byteLength(overrides.config), `the given configuration of model '${name}'`);
    config = configFromJson(overrides.config);
  } else if (existsSync(file)) {
    const field = `config.pbtxt of model '${name}'`;
    limitConfig(requireFile(file, field)?.size ?? 0, field);
    config = configFromText(readFileSync(file, 'utf8'));
  } else if (mayComplete) {
    config = ModelConfig.fromPartial({});
  } else {
    throw invalidArgument(`model '${name}' has no config.pbtxt`);
  }
  return { ...config, name: config.name || name };
}

/** Reading a configuration holds up all other requests. */
function limitConfig(bytes: number, field: string): void {
  if (bytes > maxConfigBytes) {
    throw invalidArgument(`${field} must have at most ${maxConfigBytes} bytes (got ${bytes})`);
  }
}

/** The files of an override in a folder of their own. */
function writeFiles({ config, files }: LoadOverrides): string {
  if (config === undefined) {
    throw invalidArgument("Load parameter 'config' must be specified for model file override");
  }
  const folder = makeTemporaryFolder();
  try {
    for (const [path, content] of files) {
      const file = pathWithin(folder, path, 'Invalid file parameter');
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, content);
    }
    return folder;
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}
