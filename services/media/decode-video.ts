import { setTimeout } from 'node:timers/promises';
import { EncodedVideoChunk, VideoDecoder, type VideoDecoderConfig, type VideoFrame } from '@napi-rs/webcodecs';
import { isShown } from './edit-list.ts';
import type { RgbaPicture } from './rgba-picture.ts';
import { turned } from './turn-picture.ts';
import { UnreadableVideo } from './unreadable-video.ts';
import type { VideoStorage } from './video-storage.ts';
import { type YuvPlanes, yuvMatrices, yuvToRgba } from './yuv-to-rgba.ts';

/** Maximum number of frames in the decoder: memory stays flat however long the video is. */
const maxDecoding = 8;

/** Encoded frames, in the order in which they are decoded. */
export interface EncodedVideo extends VideoStorage {
  packets: Iterable<EncodedFrame> | AsyncIterable<EncodedFrame>;
}

export interface EncodedFrame {
  type: 'key' | 'delta';
  /** When it is shown, seconds. */
  timestamp: number;
  data: Uint8Array;
}

/**
 * Decodes frame by frame, in the order in which they are shown, upright, in colours as ffmpeg decodes them to `rgb24`: without
 * a tag they are those of BT.601 with a limited range. Pixels need not be square. Throws what the decoder or the packets'
 * reader throws, and an error for a frame with more pixels than allowed or in a pixel format that it can't convert.
 *
 * @param maxPixels of a frame, whatever the file's index says
 */
export async function* decodeFrames(
  { config, rotation, flip, shown, packets }: EncodedVideo,
  maxPixels = Number.POSITIVE_INFINITY,
): AsyncGenerator<RgbaPicture> {
  if (!(await VideoDecoder.isConfigSupported(config as unknown as VideoDecoderConfig)).supported) {
    throw new UnreadableVideo(`its codec (${config.codec}) cannot be decoded`);
  }
  const decoded: VideoFrame[] = [];
  // Of packets whose frames have not come, in order: the decoder's frames come in order, with timestamps of other ones.
  const timestamps: number[] = [];
  let failure: Error | undefined;
  const decoder = new VideoDecoder({
    output: (frame) => decoded.push(frame),
    error: (error) => {
      failure = error;
    },
  });
  async function* ready(): AsyncGenerator<RgbaPicture> {
    for (let frame = decoded.shift(); frame; frame = decoded.shift()) {
      if (!isShown(timestamps.shift() ?? shown.from, shown)) {
        frame.close();
        continue;
      }
      yield turned(await toRgba(frame, maxPixels), rotation, flip);
    }
  }
  try {
    decoder.configure(config as unknown as VideoDecoderConfig);
    for await (const { type, timestamp, data } of packets) {
      const later = timestamps.findLastIndex((other) => other <= timestamp) + 1;
      timestamps.splice(later, 0, timestamp);
      decoder.decode(new EncodedVideoChunk({ type, timestamp: Math.round(timestamp * 1e6), data }));
      while (decoder.decodeQueueSize >= maxDecoding && decoded.length === 0 && !failure) {
        // Its `dequeue` event does not come reliably.
        await setTimeout(1);
      }
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
    const [width, height] = [visibleRect?.width ?? codedWidth, visibleRect?.height ?? codedHeight];
    return { data: await pixelsOf(frame, width, height), width, height };
  } finally {
    frame.close();
  }
}

/** RGBA. The decoder's own conversion knows the untagged kind of colours only. */
async function pixelsOf(frame: VideoFrame, width: number, height: number): Promise<Uint8Array> {
  const { matrix, fullRange } = frame.colorSpace;
  const colours = yuvMatrices[matrix ?? 'smpte170m'];
  const [, family, bits = '8'] = /^I(420|422|444)(?:P(10|12))?$/.exec(frame.format ?? '') ?? [];
  if (!family || !colours) {
    throw new UnreadableVideo(
      `its pixels (format ${frame.format}, colour matrix ${matrix}) cannot be converted to RGB`,
    );
  }
  if (bits === '8' && colours === yuvMatrices.smpte170m && !fullRange) {
    const data = new Uint8Array(frame.allocationSize({ format: 'RGBA' }));
    await frame.copyTo(data, { format: 'RGBA' });
    return data;
  }
  const data = new Uint8Array(frame.allocationSize());
  const layout = await frame.copyTo(data);
  const shared = { chromaWidth: family === '444' ? 1 : 2, chromaHeight: family === '420' ? 2 : 1 } as const;
  const planes: YuvPlanes = { data, layout, width, height, bits: Number(bits), ...shared };
  return yuvToRgba(planes, { ...colours, fullRange: fullRange === true });
}
