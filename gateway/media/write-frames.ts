import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import type { FrameFormat, FrameSink } from './frame-sink.ts';

/**
 * Opens the sinks and passes frames on to every one as they come; the slowest sets the pace. When anything fails,
 * whatever has not been finished is removed. Throws INTERNAL when the frames are not those that `format` announces.
 */
export async function writeFrames(
  frames: AsyncIterable<Uint8Array>,
  format: FrameFormat,
  openers: readonly (() => FrameSink | Promise<FrameSink>)[],
): Promise<void> {
  const unfinished = new Set<FrameSink>();
  const frameBytes = format.width * format.height * 3;
  let count = 0;
  try {
    for (const open of openers) {
      unfinished.add(await open());
    }
    for await (const frame of frames) {
      count++;
      if (frame.length !== frameBytes || count > format.frames) {
        throw wrongFrames(`frame ${count} of ${frame.length} bytes`, format);
      }
      for (const sink of unfinished) {
        await sink.write(frame);
      }
    }
    if (count !== format.frames) {
      throw wrongFrames(`${count} frames`, format);
    }
    for (const sink of unfinished) {
      await sink.finish();
      unfinished.delete(sink);
    }
  } catch (error) {
    await Promise.all([...unfinished].map((sink) => sink.abort()));
    throw error;
  }
}

function wrongFrames(given: string, { frames, width, height }: FrameFormat): FusionError {
  return new FusionError(
    Status.INTERNAL,
    `The decoder gave ${given}, expected: ${frames} frames of ${width}x${height}`,
  );
}
