import { setTimeout } from 'node:timers/promises';
import { EncodedVideoChunk, VideoDecoder, type VideoDecoderConfig, type VideoFrame } from '@napi-rs/webcodecs';
import { EncodedPacketSink, type InputVideoTrack } from 'mediabunny';

/** Maximum number of frames in the decoder: memory stays flat however long the video is. */
const maxDecoding = 8;

/** A picture, uint8 [height, width, 4]: red, green, blue, opacity. */
export interface RgbaPicture {
  data: Uint8Array;
  /** Pixels. */
  width: number;
  height: number;
}

export interface DecodingBounds {
  signal?: AbortSignal;
  /** Of a frame, whatever the file's index says. Default: no limit. */
  maxPixels?: number;
}

/** Encoded frames, in the order in which they are decoded. */
export interface EncodedVideo {
  /** As mediabunny gives it. */
  config: Awaited<ReturnType<InputVideoTrack['getDecoderConfig']>>;
  packets: Iterable<EncodedFrame> | AsyncIterable<EncodedFrame>;
}

export interface EncodedFrame {
  type: 'key' | 'delta';
  /** When it is shown, seconds. */
  timestamp: number;
  data: Uint8Array;
}

/** Decodes a video track as {@link decodeFrames} does. */
export async function* decodeVideo(track: InputVideoTrack, bounds?: DecodingBounds): AsyncGenerator<RgbaPicture> {
  const packets = new EncodedPacketSink(track).packets();
  yield* decodeFrames({ config: await track.getDecoderConfig(), packets }, bounds);
}

/**
 * Decodes frame by frame, in the order in which they are shown. Throws what the decoder or the packets' reader throws, an error
 * for a frame with more pixels than allowed, and the signal's reason once it has aborted.
 */
export async function* decodeFrames(
  { config, packets }: EncodedVideo,
  { signal, maxPixels = Number.POSITIVE_INFINITY }: DecodingBounds = {},
): AsyncGenerator<RgbaPicture> {
  const decoded: VideoFrame[] = [];
  let failure: Error | undefined;
  const decoder = new VideoDecoder({
    output: (frame) => decoded.push(frame),
    error: (error) => {
      failure = error;
    },
  });
  async function* ready(): AsyncGenerator<RgbaPicture> {
    for (let frame = decoded.shift(); frame; frame = decoded.shift()) {
      yield await toRgba(frame, maxPixels);
    }
  }
  try {
    decoder.configure(config as unknown as VideoDecoderConfig);
    for await (const { type, timestamp, data } of packets) {
      decoder.decode(new EncodedVideoChunk({ type, timestamp: Math.round(timestamp * 1e6), data }));
      while (decoder.decodeQueueSize >= maxDecoding && decoded.length === 0 && !failure) {
        // Its `dequeue` event does not come reliably.
        await setTimeout(1, undefined, { signal });
      }
      signal?.throwIfAborted();
      yield* ready();
    }
    await decoder.flush();
    yield* ready();
  } catch (error) {
    failure ??= error as Error;
  } finally {
    for (const frame of decoded) {
      frame.close();
    }
    if (decoder.state !== 'closed') {
      decoder.close();
    }
  }
  if (failure) {
    throw failure;
  }
}

async function toRgba(frame: VideoFrame, maxPixels: number): Promise<RgbaPicture> {
  try {
    const { visibleRect, codedWidth, codedHeight } = frame;
    if (codedWidth * codedHeight > maxPixels) {
      throw new Error(`a frame has ${codedWidth}x${codedHeight} pixels, more than ${maxPixels}`);
    }
    const data = new Uint8Array(frame.allocationSize({ format: 'RGBA' }));
    await frame.copyTo(data, { format: 'RGBA' });
    return { data, width: visibleRect?.width ?? codedWidth, height: visibleRect?.height ?? codedHeight };
  } finally {
    frame.close();
  }
}
