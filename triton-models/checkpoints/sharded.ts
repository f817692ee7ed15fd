import { access, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Status } from 'nice-grpc-common';
import { z } from 'zod';
import { FusionError } from '../../services/kit/errors.ts';
import { parseJson } from '../../services/kit/parse-json.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';
import { parseSchema } from '../../services/kit/schema.ts';
import { brokenCheckpoint, type Checkpoint, type StoredTensor } from './checkpoint.ts';

/** Given all names in a checkpoint, selects the ones that are needed. */
export type Choose = (names: readonly string[]) => (name: string) => boolean;

const format = 'index of a sharded checkpoint';

// Shards must be in the same folder as their index.
const shardName = z.string().refine((name) => name === basename(name) && !['', '.', '..'].includes(name), {
  error: 'the name of a file in the same folder',
});
const indexSchema = z.object({ weight_map: z.record(z.string(), shardName) });

/**
 * Reads an index file (`model.safetensors.index.json`, `pytorch_model.bin.index.json`) and returns the shards that
 * contain the tensors selected by `choose`, each with those tensors. Throws FAILED_PRECONDITION if it is not such an
 * index.
 */
export function parseShardIndex(path: string, text: string, choose: Choose): Map<string, string[]> {
  const { weight_map: shardNames } = readIndexText(path, text);
  const shards = new Map<string, string[]>();
  const wants = choose(Object.keys(shardNames));
  for (const [tensor, shard] of Object.entries(shardNames)) {
    if (wants(tensor)) {
      const ofShard = shards.get(shard) ?? [];
      ofShard.push(tensor);
      shards.set(shard, ofShard);
    }
  }
  return shards;
}

function readIndexText(path: string, text: string): z.infer<typeof indexSchema> {
  try {
    return parseSchema(indexSchema, parseJson(text));
  } catch (error) {
    throw brokenCheckpoint(path, format, (error as Error).message);
  }
}

/** Opens the shards of an index. Throws NOT_FOUND naming every missing shard. */
export async function readSharded(
  path: string,
  choose: Choose,
  openShard: (path: string) => Promise<Checkpoint>,
): Promise<Checkpoint> {
  const shards = parseShardIndex(path, await readIndex(path), choose);
  await requireShards(path, [...shards.keys()]);
  const tensors = new Map<string, StoredTensor>();
  const absent: string[] = [];
  for (const [shard, names] of shards) {
    const checkpoint = await openShard(join(dirname(path), shard));
    for (const name of names) {
      const stored = checkpoint.tensors.get(name);
      if (stored === undefined) {
        absent.push(`${name} is not in ${shard}`);
      } else {
        tensors.set(name, stored);
      }
    }
  }
  if (absent.length > 0) {
    throw brokenCheckpoint(path, format, absent.join('; '));
  }
  return { path, tensors };
}

async function readIndex(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new FusionError(Status.NOT_FOUND, `checkpoint: ${path} can't be read: ${reasonOf(error)}`, {
      reason: 'CHECKPOINT_UNREADABLE',
      field: 'checkpoint',
      cause: error,
    });
  }
}

async function requireShards(path: string, shards: readonly string[]): Promise<void> {
  const missing: string[] = [];
  for (const shard of shards) {
    await access(join(dirname(path), shard)).catch(() => missing.push(shard));
  }
  if (missing.length > 0) {
    const message = `checkpoint: ${missing.length} of the ${shards.length} files that ${path} names are missing: ${missing.join(', ')}`;
    throw new FusionError(Status.NOT_FOUND, message, { reason: 'CHECKPOINT_NOT_FOUND', field: 'checkpoint' });
  }
}
