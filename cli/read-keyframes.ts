import { stat } from 'node:fs/promises';
import type { NewVideo } from '../gateway/client/video-client.ts';
import { FusionError, invalidField } from '../services/kit/errors.ts';
import { maxPictureBytes } from '../services/kit/pictures.ts';
import { reasonOf } from '../services/kit/reason-of.ts';
import { numberedFrames, requireOneSeries } from '../triton-models/metrics/numbered-frames.ts';
import { readStart } from './read-image.ts';

const flag = '--keyframes';

/** The keyframes of a request: a clip, or a folder of numbered pictures. Throws INVALID_ARGUMENT. */
export async function readKeyframes(path: string | undefined): Promise<Pick<NewVideo, 'givenKeyframes'>> {
  return path === undefined ? {} : { givenKeyframes: await readKeyframeFiles(path, flag) };
}

/**
 * The files of keyframes: a clip, or the numbered pictures of a folder. Throws INVALID_ARGUMENT naming `field`.
 *
 * @param locate gives the path to read for a file in the folder, or throws. Default: the same
 */
export async function readKeyframeFiles(
  path: string,
  field: string,
  locate: (file: string) => Promise<string> = async (file) => file,
): Promise<Uint8Array[]> {
  try {
    const isFolder = (await stat(path)).isDirectory();
    const paths = isFolder ? await Promise.all((await picturesIn(path, field)).map(locate)) : [path];
    const files: Uint8Array[] = [];
    let bytes = 0;
    for (const each of paths) {
      const file = await readStart(each);
      bytes += file.length;
      if (bytes > maxPictureBytes) {
        throw invalidField(field, path, `at most ${maxPictureBytes} bytes`);
      }
      files.push(file);
    }
    return files;
  } catch (error) {
    if (error instanceof FusionError) {
      throw error;
    }
    const mustBe = `a clip, or a folder of numbered pictures, that can be read (${reasonOf(error)})`;
    throw invalidField(field, path, mustBe);
  }
}

async function picturesIn(folder: string, field: string): Promise<string[]> {
  const found = await numberedFrames(folder);
  if (found.length === 0) {
    throw invalidField(field, folder, 'a clip, or a folder of numbered pictures such as 01.png');
  }
  requireOneSeries(field, folder, found);
  return found;
}
