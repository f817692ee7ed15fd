import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import type { FrameFormat, FrameSink } from './frame-sink.ts';

/**
 * Opens the sinks and passes each frame to all of them; the slowest sets the pace. On failure, unfinished files are
 * removed. Throws INTERNAL when the frames do not match `format`.
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
    await finishAll(unfinished);
  } catch (error) {
    await Promise.all([...unfinished].map((sink) => sink.abort()));
    throw error;
  }
}

/** Finishes sinks at the same time and removes those that succeed. Throws the first failure once all have ended. */
async function finishAll(sinks: Set<FrameSink>): Promise<void> {
  const finishing = [...sinks].map(async (sink) => {
    await sink.finish();
    sinks.delete(sink);
  });
  const failed = (await Promise.allSettled(finishing)).find((result) => result.status === 'rejected');
  if (failed) {
    throw failed.reason;
  }
}

function wrongFrames(given: string, { frames, width, height }: FrameFormat): FusionError {
  return new FusionError(
    Status.INTERNAL,
    `The decoder returned ${given} (expected ${frames} frames of ${width}x${height})`,
  );
}
