import { BufferSource, EncodedPacketSink, Input, MP4, QTFF, WEBM } from 'mediabunny';
import type { EncodedFrame, EncodedVideo } from '../../services/media/decode-video.ts';
import { storageOf } from '../../services/media/video-storage.ts';

/** An encoded clip. */
export interface EncodedClip extends EncodedVideo {
  /** Pixels as it is shown: turned upright, its samples made square. */
  width: number;
  height: number;
  /** Whether its samples are square. */
  isSquare: boolean;
  packets: EncodedFrame[];
}

/** Reads the encoded frames of an MP4, MOV or WebM file, at most `maxFrames`. Throws an Error for a file that is not a readable video. */
export async function readClip(file: Uint8Array<ArrayBuffer>, maxFrames: number): Promise<EncodedClip> {
  const input = new Input({ source: new BufferSource(file), formats: [MP4, QTFF, WEBM] });
  try {
    if (!(await input.canRead())) {
      throw new Error('it is of another kind');
    }
    const track = await input.getPrimaryVideoTrack();
    if (!track) {
      throw new Error('it has no video track');
    }
    const packets: EncodedFrame[] = [];
    for await (const packet of new EncodedPacketSink(track).packets()) {
      if (packets.length === maxFrames) {
        break;
      }
      packets.push(packet);
    }
    const { packetCount } = await track.computePacketStats(maxFrames);
    if (packets.length < Math.min(packetCount, maxFrames)) {
      throw new Error(`it is cut short: ${packets.length} of its ${packetCount} frames are there`);
    }
    const { num, den } = await track.getPixelAspectRatio();
    return {
      width: await track.getDisplayWidth(),
      height: await track.getDisplayHeight(),
      isSquare: num === den,
      ...(await storageOf(track, async (offset, length) => file.subarray(offset, offset + length))),
      packets,
    };
  } finally {
    input.dispose();
  }
}
