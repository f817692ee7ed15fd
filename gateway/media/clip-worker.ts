import { parentPort } from 'node:worker_threads';
import { ALL_FORMATS, BufferSource, EncodedPacketSink, Input } from 'mediabunny';
import { reasonOf } from '../../services/kit/reason-of.ts';
import type { EncodedFrame, EncodedVideo } from '../../services/media/decode-video.ts';

/** A file to read, up to a number of frames. */
export interface ClipTask {
  file: Uint8Array<ArrayBuffer>;
  maxFrames: number;
}

/** An encoded clip, upright after it was turned. */
export interface EncodedClip extends EncodedVideo {
  /** Pixels, upright. */
  width: number;
  height: number;
  /** Degrees clockwise. */
  rotation: number;
  packets: EncodedFrame[];
}

export type ClipAnswer = { clip: EncodedClip } | { fault: string };

/** Reads clips of users in a thread of its own: a small file can keep the reader busy for long, or take all memory. */
parentPort!.on('message', async ({ file, maxFrames }: ClipTask) => {
  const input = new Input({ source: new BufferSource(file), formats: ALL_FORMATS });
  try {
    const clip = await readClip(input, maxFrames);
    parentPort!.postMessage(
      { clip } satisfies ClipAnswer,
      clip.packets.map(({ data }) => data.buffer) as ArrayBuffer[],
    );
  } catch (error) {
    parentPort!.postMessage({ fault: reasonOf(error).split('\n')[0]! } satisfies ClipAnswer);
  } finally {
    input.dispose();
  }
});

async function readClip(input: Input, maxFrames: number): Promise<EncodedClip> {
  const track = (await input.canRead()) ? await input.getPrimaryVideoTrack() : undefined;
  if (!track) {
    throw new Error('it has no video track');
  }
  const packets: EncodedFrame[] = [];
  for await (const { type, timestamp, data } of new EncodedPacketSink(track).packets()) {
    if (packets.length === maxFrames) {
      break;
    }
    // A copy, because what it is a part of would be sent whole.
    packets.push({ type, timestamp, data: data.slice() });
  }
  const { packetCount } = await track.computePacketStats(maxFrames);
  if (packets.length < Math.min(packetCount, maxFrames)) {
    throw new Error(`it is cut short: ${packets.length} of its ${packetCount} frames are there`);
  }
  return {
    width: await track.getDisplayWidth(),
    height: await track.getDisplayHeight(),
    rotation: await track.getRotation(),
    config: await track.getDecoderConfig(),
    packets,
  };
}
