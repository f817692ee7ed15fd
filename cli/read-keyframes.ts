import { stat } from 'node:fs/promises';
import type { NewVideo } from '../gateway/client/video-client.ts';
import { FusionError, invalidField } from '../services/kit/errors.ts';
import { maxPictureBytes } from '../services/kit/pictures.ts';
import { reasonOf } from '../services/kit/reason-of.ts';
import { readStart } from './read-image.ts';

/** The keyframes of a request: a clip, or a folder of numbered pictures. Throws INVALID_ARGUMENT. */
export async function readKeyframes(path: string | undefined): Promise<Pick<NewVideo, 'givenKeyframes'>> {
  if (path === undefined) {
    return {};
  }
  try {
    return { givenKeyframes: await readFiles(path) };
  } catch (error) {
    if (error instanceof FusionError) {
      throw error;
    }
    const mustBe = `a clip, or a folder of numbered pictures, that can be read (${reasonOf(error)})`;
    throw invalidField('--keyframes', path, mustBe);
  }
}

async function readFiles(path: string): Promise<Uint8Array[]> {
  const isFolder = (await stat(path)).isDirectory();
  const paths = isFolder ? await picturesIn(path) : [path];
  const files: Uint8Array[] = [];
  let bytes = 0;
  for (const each of paths) {
    const file = await readStart(each);
    bytes += file.length;
    if (bytes > maxPictureBytes) {
      throw invalidField('--keyframes', path, `at most ${maxPictureBytes} bytes`);
    }
    files.push(file);
  }
  return files;
}

async function picturesIn(folder: string): Promise<string[]> {
  // Loads the readers of video files.
  const { numberedFrames } = await import('../triton-models/metrics/open-clip.ts');
  const found = await numberedFrames(folder);
  if (found.length === 0) {
    throw invalidField('--keyframes', folder, 'a clip, or a folder of numbered pictures such as 01.png');
  }
  return found;
}
