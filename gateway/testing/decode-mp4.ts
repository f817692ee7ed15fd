import {
  EncodedVideoChunk,
  type EncodedVideoChunkType,
  VideoDecoder,
  type VideoDecoderConfig,
  type VideoFrame,
} from '@napi-rs/webcodecs';
import { ALL_FORMATS, EncodedPacketSink, FilePathSource, Input } from 'mediabunny';

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
  const input = new Input({ source: new FilePathSource(path), formats: ALL_FORMATS });
  try {
    const track = (await input.getPrimaryVideoTrack())!;
    const config = (await track.getDecoderConfig()) as unknown as VideoDecoderConfig & { colorSpace: unknown };
    const frames: Promise<Uint8Array>[] = [];
    const types: EncodedVideoChunkType[] = [];
    const decoder = new VideoDecoder({
      output: (frame) => frames.push(toRgb(frame)),
      error: (error) => frames.push(Promise.reject(error)),
    });
    decoder.configure(config);
    for await (const packet of new EncodedPacketSink(track).packets()) {
      types.push(packet.type);
      const timestamp = Math.round(packet.timestamp * 1e6);
      decoder.decode(new EncodedVideoChunk({ type: packet.type, timestamp, data: packet.data }));
    }
    await decoder.flush();
    decoder.close();
    return {
      codec: await track.getCodec(),
      codecString: config.codec,
      colorSpace: config.colorSpace,
      width: await track.getDisplayWidth(),
      height: await track.getDisplayHeight(),
      duration: await input.computeDuration(),
      frames: await Promise.all(frames),
      keyFrames: types.flatMap((type, index) => (type === 'key' ? [index] : [])),
    };
  } finally {
    input.dispose();
  }
}

async function toRgb(frame: VideoFrame): Promise<Uint8Array> {
  const rgba = new Uint8Array(frame.allocationSize({ format: 'RGBA' }));
  await frame.copyTo(rgba, { format: 'RGBA' });
  frame.close();
  return rgba.filter((_, index) => index % 4 !== 3);
}
