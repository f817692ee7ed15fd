import { ALL_FORMATS, EncodedPacketSink, FilePathSource, Input } from 'mediabunny';
import { openClip } from '../../triton-models/metrics/open-clip.ts';

export interface DecodedMp4 {
  codec: string | null;
  /** Codec string with profile and level. */
  codecString: string;
  colorSpace: unknown;
  width: number;
  height: number;
  /** Seconds. */
  duration: number;
  /** uint8 [height, width, 3] each. */
  frames: Uint8Array[];
  /** Indices of the frames that decode without others. */
  keyFrames: number[];
}

/** Reads an MP4 file back. */
export async function decodeMp4(path: string): Promise<DecodedMp4> {
  const { width, height, frames } = await openClip(path);
  const input = new Input({ source: new FilePathSource(path), formats: ALL_FORMATS });
  try {
    const track = (await input.getPrimaryVideoTrack())!;
    const config = (await track.getDecoderConfig())!;
    const packets = await collect(new EncodedPacketSink(track).packets());
    return {
      codec: await track.getCodec(),
      codecString: config.codec,
      colorSpace: config.colorSpace,
      width,
      height,
      duration: await input.computeDuration(),
      frames: await collect(frames()),
      keyFrames: packets.flatMap(({ type }, index) => (type === 'key' ? [index] : [])),
    };
  } finally {
    input.dispose();
  }
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) {
    all.push(item);
  }
  return all;
}
