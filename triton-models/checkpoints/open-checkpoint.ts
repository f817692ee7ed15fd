import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { brokenCheckpoint, type Checkpoint } from './checkpoint.ts';
import { withCheckpointFile } from './checkpoint-file.ts';
import { tellFormat } from './file-format.ts';
import { readLegacyPyTorch } from './legacy-pytorch.ts';
import { readPyTorch } from './pytorch.ts';
import { readSafetensors } from './safetensors.ts';
import { type Choose, readSharded } from './sharded.ts';

/** File names looked for in a checkpoint folder; the first match is used. */
export const folderFiles = [
  'model.safetensors.index.json',
  'model.safetensors',
  'pytorch_model.bin.index.json',
  'pytorch_model.bin',
] as const;

/**
 * Opens a checkpoint: a safetensors file, a PyTorch file, an index of shards of either, or a folder with one of these
 * under its usual name. The content decides the format. Only shards with tensors that `choose` selects must exist.
 * Throws NOT_FOUND if there is nothing and FAILED_PRECONDITION, naming file and tensor, if it is invalid.
 */
export async function openCheckpoint(path: string, choose: Choose = () => () => true): Promise<Checkpoint> {
  const file = await findFile(path);
  return file.endsWith('.index.json') ? readSharded(file, choose, openFile) : openFile(file);
}

async function findFile(path: string): Promise<string> {
  if (!(await exists(path, 'folder'))) {
    return path;
  }
  for (const name of folderFiles) {
    if (await exists(join(path, name), 'file')) {
      return join(path, name);
    }
  }
  throw new FusionError(Status.NOT_FOUND, `checkpoint: the folder ${path} contains none of ${folderFiles.join(', ')}`, {
    reason: 'CHECKPOINT_NOT_FOUND',
    field: 'checkpoint',
  });
}

async function openFile(path: string): Promise<Checkpoint> {
  const format = await withCheckpointFile(path, 'checkpoint', tellFormat);
  if (typeof format === 'object') {
    throw brokenCheckpoint(path, 'checkpoint', format.instead);
  }
  const read = { pytorch: readPyTorch, 'legacy-pytorch': readLegacyPyTorch, safetensors: readSafetensors }[format];
  return read(path);
}

function exists(path: string, kind: 'file' | 'folder'): Promise<boolean> {
  return stat(path).then(
    (stats) => (kind === 'folder') === stats.isDirectory(),
    () => false,
  );
}
