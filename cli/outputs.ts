import { constants } from 'node:fs';
import { access, open, readdir, rm, stat } from 'node:fs/promises';
import { basename, dirname, extname, join, resolve } from 'node:path';
import type { Video } from '../gateway/client/video.ts';
import type { DownloadOptions, VideoClient } from '../gateway/client/video-client.ts';
import { frameFileName } from '../gateway/media/frame-file-name.ts';
import { either } from '../services/kit/either.ts';
import { invalidField } from '../services/kit/errors.ts';
import { makeFolder } from '../services/kit/make-folder.ts';
import { reasonOf } from '../services/kit/reason-of.ts';
import { partialName, writeWhole } from '../services/kit/write-whole.ts';
import type { GenerateOptions } from './video-options.ts';

const videoEndings = ['.mp4', '.webp'];

/**
 * Checks before any work that the files can be written. Throws INVALID_ARGUMENT naming the option.
 */
export async function checkOutputs({ output, frames }: GenerateOptions): Promise<void> {
  await checkOutput(output, videoEndings);
  await checkWritable(storyboardOf(output));
  if (frames !== undefined) {
    await makeFolder(resolve(frames)).catch((error: Error) => {
      throw invalidField('--frames', frames, `a folder that can be created (${reasonOf(error)})`);
    });
    await checkWritableFolder('--frames', frames);
  }
}

/** Checks that a file of one of these endings can be written. Throws INVALID_ARGUMENT naming the option. */
export async function checkOutput(output: string, endings: readonly string[], option = '--output'): Promise<void> {
  if (!endings.includes(extname(output))) {
    throw invalidField(option, output, `a file name ending in ${either(endings)}`);
  }
  await checkWritableFolder(option, dirname(resolve(output)));
  await checkWritable(output, option);
}

/** Downloads the job's files; each appears under its name only when it is complete. */
export async function saveOutputs(
  client: VideoClient,
  video: Video,
  { output, frames }: Pick<GenerateOptions, 'output' | 'frames'>,
  signal: AbortSignal,
): Promise<{ video: string; storyboard: string }> {
  const storyboard = storyboardOf(output);
  await saveFile(client, video.id, { file: 'video', signal }, output);
  await saveFile(client, video.id, { file: 'storyboard', signal }, storyboard);
  if (frames !== undefined) {
    for (let frame = 0; frame < video.frames; frame++) {
      const file = join(frames, frameFileName(frame));
      await saveFile(client, video.id, { file: { frame }, signal }, file);
    }
    // Remove frames left by an earlier, longer video.
    for (const file of (await readdir(frames)).filter((name) => /^\d{4}\.png$/.test(name))) {
      if (Number.parseInt(file, 10) >= video.frames) {
        await rm(join(frames, file));
      }
    }
  }
  return { video: output, storyboard };
}

/** Downloads a file; it appears under its name only when it is complete. */
export async function saveFile(client: VideoClient, id: string, options: DownloadOptions, path: string): Promise<void> {
  await writeWhole(path, async (partial) => {
    const handle = await open(partial, 'wx');
    try {
      for await (const data of await client.download(id, options)) {
        await handle.writeFile(data);
      }
    } finally {
      await handle.close();
    }
  });
}

function storyboardOf(output: string): string {
  return join(dirname(output), `${basename(output, extname(output))}.storyboard.png`);
}

/** Creates a file as {@link saveFile} will: some names only fail then. Throws INVALID_ARGUMENT naming the option. */
export async function checkWritable(path: string, option = '--output'): Promise<void> {
  if (await isFolder(path)) {
    throw invalidField(option, path, 'a file, not a folder');
  }
  const partial = partialName(path);
  try {
    await (await open(partial, 'wx')).close();
    await rm(partial);
  } catch (error) {
    throw invalidField(option, path, `a file that can be written (${reasonOf(error)})`);
  }
}

async function checkWritableFolder(option: string, folder: string): Promise<void> {
  if (!(await isFolder(folder))) {
    throw invalidField(option, folder, 'a folder that exists');
  }
  await access(folder, constants.W_OK).catch(() => {
    throw invalidField(option, folder, 'a folder that can be written to');
  });
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}
