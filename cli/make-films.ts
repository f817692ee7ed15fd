import { setImmediate } from 'node:timers/promises';
import { Status } from 'nice-grpc-common';
import sharp from 'sharp';
import type { Video } from '../gateway/client/video.ts';
import type { NewVideo, VideoClient } from '../gateway/client/video-client.ts';
import { FusionError } from '../services/kit/errors.ts';
import type { Film } from '../triton-models/evaluation/film.ts';
import { runJob } from './run-job.ts';

/**
 * Calls `use` for each request, `jobsAtOnce` at once, with a function that makes its video. The frames are the job's PNG files, not
 * the decoded video: exactly what the networks made, without the colours that H.264 loses on small shapes, and the same on every
 * machine. Jobs are deleted afterwards. The first failure, or an abort, cancels all the others before this throws.
 */
export async function makeFilms(
  client: VideoClient,
  requests: readonly NewVideo[],
  jobsAtOnce: number,
  signal: AbortSignal,
  onUpdate: (video: Video) => void,
  use: (make: () => Promise<Film>, index: number) => Promise<void>,
): Promise<void> {
  const failed = new AbortController();
  const stop = AbortSignal.any([signal, failed.signal]);
  const waiting = requests.entries();
  const work = async () => {
    for (const [index, request] of waiting) {
      stop.throwIfAborted();
      await use(() => makeFilm(client, request, stop, onUpdate), index);
      // Judging a film takes a while: let other work of this thread run first.
      await setImmediate();
    }
  };
  const workers = Array.from({ length: jobsAtOnce }, () => work().catch((error) => failed.abort(error)));
  await Promise.all(workers);
  signal.throwIfAborted();
  failed.signal.throwIfAborted();
}

async function makeFilm(
  client: VideoClient,
  request: NewVideo,
  signal: AbortSignal,
  onUpdate: (video: Video) => void,
): Promise<Film> {
  const { id, frames } = await runJob(client, request, signal, onUpdate);
  try {
    const pictures: Picture[] = [];
    for (let frame = 0; frame < frames; frame++) {
      pictures.push(await fetchFrame(client, id, frame, signal));
    }
    const { width, height } = pictures[0]!;
    if (width !== height) {
      throw new FusionError(Status.FAILED_PRECONDITION, `frames must be square (got ${width}x${height})`);
    }
    return { size: width, frames: pictures.map(({ rgb }) => rgb) };
  } finally {
    await client.delete(id).catch(() => {});
  }
}

interface Picture {
  width: number;
  height: number;
  rgb: Uint8Array;
}

async function fetchFrame(client: VideoClient, id: string, frame: number, signal: AbortSignal): Promise<Picture> {
  const parts: Uint8Array[] = [];
  for await (const part of await client.download(id, { file: { frame }, signal })) {
    parts.push(part);
  }
  const { data, info } = await sharp(Buffer.concat(parts)).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, rgb: data };
}
