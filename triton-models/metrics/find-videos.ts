import { readdir, stat } from 'node:fs/promises';
import { basename, extname, join, parse } from 'node:path';
import { invalidField } from '../../services/kit/errors.ts';
import { numberedFrames, requireEqualSteps, requireOneSeries } from './numbered-frames.ts';
import { isAnimation, videoEndings } from './open-clip.ts';

export interface VideoPair {
  /** The file's name without its ending. */
  name: string;
  reference: string;
  candidate: string;
}

/**
 * Videos to be compared: two files, or the videos of two folders by their names. A folder of numbered frames is a video.
 * Throws INVALID_ARGUMENT naming the argument.
 */
export async function findPairs(reference: string, candidate: string): Promise<VideoPair[]> {
  const references = await findVideos('reference', reference);
  const candidates = await findVideos('candidate', candidate);
  if (references.isFolder !== candidates.isFolder) {
    const kind = references.isFolder ? 'a folder of videos' : 'one video';
    throw invalidField('candidate', candidate, `${kind}, as the reference is`);
  }
  if (!references.isFolder) {
    const [[name, file]] = [...references.videos] as [[string, string]];
    return [{ name, reference: file, candidate: [...candidates.videos.values()][0]! }];
  }
  requireSameNames('candidate', candidate, references.videos, candidates.videos);
  requireSameNames('reference', reference, candidates.videos, references.videos);
  return [...references.videos].map(([name, file]) => ({
    name,
    reference: file,
    candidate: candidates.videos.get(name)!,
  }));
}

export interface FoundVideos {
  /** Whether the path is a folder of videos, not a video. */
  isFolder: boolean;
  /** By name, in the order of names. */
  videos: Map<string, string>;
}

/** A video, or the videos of a folder. Throws INVALID_ARGUMENT naming the argument. */
export async function findVideos(argument: string, path: string): Promise<FoundVideos> {
  const stats = await stat(path).catch(() => {
    throw invalidField(argument, path, 'a video or a folder of videos that can be read');
  });
  if (!stats.isDirectory()) {
    return { isFolder: false, videos: new Map([[parse(path).name, path]]) };
  }
  if (await isVideoOfFrames(argument, path)) {
    return { isFolder: false, videos: new Map([[basename(path), path]]) };
  }
  const videos = new Map<string, string>();
  for (const entry of (await readdir(path, { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const file = join(path, entry.name);
    const isVideo = entry.isDirectory() ? await isVideoOfFrames(argument, file) : hasVideoEnding(entry.name);
    const name = entry.isDirectory() ? entry.name : parse(entry.name).name;
    if (isVideo && videos.has(name)) {
      throw invalidField(argument, path, `a folder with one video of each name: "${name}" appears twice`);
    }
    if (isVideo) {
      videos.set(name, file);
    }
  }
  if (videos.size === 0) {
    throw invalidField(argument, path, `a video, numbered frames, or a folder of ${videoEndings.join(', ')} files`);
  }
  return { isFolder: true, videos };
}

/**
 * Whether a folder is a video of numbered frames. A WebP animation is a video of its own, not a frame. Throws INVALID_ARGUMENT for
 * a folder that has both frames and videos, several series of frames, or gaps between them.
 */
async function isVideoOfFrames(argument: string, folder: string): Promise<boolean> {
  const numbered = await numberedFrames(folder);
  const frame = await findFile(numbered, async (file) => !(await isAnimation(file)));
  if (frame === undefined) {
    return false;
  }
  const files = (await readdir(folder)).sort().map((name) => join(folder, name));
  const video = await findFile(files, async (file) =>
    extname(file).toLowerCase() === '.webp' ? isAnimation(file) : hasVideoEnding(file),
  );
  if (video !== undefined) {
    const fault = `it has the frame "${basename(frame)}" and the video "${basename(video)}"`;
    throw invalidField(argument, folder, `a folder of numbered frames or of videos, not both: ${fault}`);
  }
  requireOneSeries(argument, folder, numbered);
  requireEqualSteps(argument, folder, numbered);
  return true;
}

const hasVideoEnding = (name: string) => videoEndings.includes(extname(name).toLowerCase());

async function findFile(files: readonly string[], fits: (file: string) => Promise<boolean>) {
  for (const file of files) {
    if (await fits(file)) {
      return file;
    }
  }
  return undefined;
}

function requireSameNames(
  argument: string,
  path: string,
  wanted: Map<string, string>,
  there: Map<string, string>,
): void {
  const missing = [...wanted.keys()].filter((name) => !there.has(name));
  if (missing.length > 0) {
    const more = missing.length > 1 ? ` and ${missing.length - 1} more` : '';
    throw invalidField(argument, path, `a folder with the videos of the other: "${missing[0]}"${more} is missing`);
  }
}
