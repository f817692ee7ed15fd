import { lstat, realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js';
import { Status } from 'nice-grpc-common';
import type { VideoClient } from '../../gateway/client/video-client.ts';
import { FusionError, invalidField } from '../../services/kit/errors.ts';
import type { NamedFile } from '../../services/pipeline/job-files.ts';
import { checkWritable, saveFile } from '../outputs.ts';
import { formatBytes } from '../units.ts';
import { requireBelow } from './file-below.ts';

/** A returned file travels as base64 in one message. */
const maxInlineBytes = 8e6;
export const inlineLimit = formatBytes(maxInlineBytes);

/** Returns a file: a picture as a picture, a video as a resource. Throws RESOURCE_EXHAUSTED for one above the limit. */
export async function downloadInline(
  client: VideoClient,
  id: string,
  file: NamedFile,
  signal: AbortSignal,
): Promise<CallToolResult> {
  const download = await client.download(id, { file, signal });
  const chunks: Uint8Array[] = [];
  for await (const chunk of download) {
    // Within the loop, whose end is also the download's.
    if (download.bytes > maxInlineBytes) {
      const message = `A returned file must have at most ${inlineLimit} (the ${file} has ${formatBytes(download.bytes)})`;
      throw new FusionError(Status.RESOURCE_EXHAUSTED, message);
    }
    chunks.push(chunk);
  }
  const data = Buffer.concat(chunks).toString('base64');
  const mimeType = download.mediaType;
  return file !== 'video' && mimeType.startsWith('image/')
    ? { content: [{ type: 'image', data, mimeType }] }
    : {
        content: [{ type: 'resource', resource: { uri: `fusionframes://videos/${id}/${file}`, mimeType, blob: data } }],
      };
}

/** Saves a file below `folder`. Throws INVALID_ARGUMENT for a path outside it, and for one that exists. */
export async function downloadToFolder(
  client: VideoClient,
  id: string,
  file: NamedFile,
  folder: string,
  path: string,
  signal: AbortSignal,
): Promise<{ path: string; file: NamedFile }> {
  const target = await newFileBelow(folder, path);
  await saveFile(client, id, { file, signal }, target);
  return { path: target, file };
}

/** The absolute path of a new file, which no link leads out of the folder. */
async function newFileBelow(folder: string, path: string): Promise<string> {
  const root = await realpath(folder);
  const wanted = resolve(root, path);
  requireBelow(root, wanted, path, 'path');
  const parent = await realpath(dirname(wanted)).catch(() => {
    throw invalidField('path', path, 'a file in a folder that exists');
  });
  const target = join(parent, basename(wanted));
  requireBelow(root, target, path, 'path');
  const exists = await lstat(target).then(
    () => true,
    () => false,
  );
  if (exists) {
    throw invalidField('path', path, 'a new file');
  }
  await checkWritable(target, 'path');
  return target;
}
