import { setTimeout } from 'node:timers/promises';
import { EncodedVideoChunk, VideoDecoder, type VideoDecoderConfig, type VideoFrame } from '@napi-rs/webcodecs';
import { ALL_FORMATS, BufferSource, EncodedPacketSink, Input, type InputVideoTrack } from 'mediabunny';
import sharp from 'sharp';

/** Packets in the decoder at a time. */
const maxDecoding = 8;

/** Reads one frame of a finished MP4 or WebP video as PNG. @param index from 0, in the order in which frames are shown */
export function readFrame(file: Uint8Array, mediaType: string, index: number): Promise<Uint8Array> {
  return mediaType === 'image/webp' ? sharp(file, { page: index }).png().toBuffer() : readMp4Frame(file, index);
}

async function readMp4Frame(file: Uint8Array, index: number): Promise<Uint8Array> {
  const input = new Input({ source: new BufferSource(file), formats: ALL_FORMATS });
  try {
    const frame = await decodeFrame((await input.getPrimaryVideoTrack())!, index);
    try {
      const { codedWidth: width, codedHeight: height } = frame;
      const rgba = new Uint8Array(frame.allocationSize({ format: 'RGBA' }));
      await frame.copyTo(rgba, { format: 'RGBA' });
      return await sharp(rgba, { raw: { width, height, channels: 4 } })
        .removeAlpha()
        .png()
        .toBuffer();
    } finally {
      frame.close();
    }
  } finally {
    input.dispose();
  }
}

/** Decodes from the last key frame before the wanted one. */
async function decodeFrame(track: InputVideoTrack, index: number): Promise<VideoFrame> {
  const packets = new EncodedPacketSink(track);
  const times: number[] = [];
  for await (const { timestamp } of packets.packets(undefined, undefined, { metadataOnly: true })) {
    times.push(timestamp);
  }
  const wanted = times.sort((a, b) => a - b)[index]!;
  const microseconds = (time: number) => Math.round(time * 1e6);
  let found: VideoFrame | undefined;
  let failure: Error | undefined;
  const decoder = new VideoDecoder({
    output(frame) {
      if (!found && frame.timestamp === microseconds(wanted)) {
        found = frame;
      } else {
        frame.close();
      }
    },
    error: (error) => {
      failure = error;
    },
  });
  try {
    decoder.configure((await track.getDecoderConfig()) as unknown as VideoDecoderConfig);
    for await (const { type, timestamp, data } of packets.packets((await packets.getKeyPacket(wanted)) ?? undefined)) {
      if (found || failure) {
        break;
      }
      decoder.decode(new EncodedVideoChunk({ type, timestamp: microseconds(timestamp), data }));
      while (decoder.decodeQueueSize >= maxDecoding && !found && !failure) {
        // Its `dequeue` event does not come reliably.
        await setTimeout(1);
      }
    }
    if (!found && !failure) {
      await decoder.flush();
    }
  } finally {
    if (decoder.state !== 'closed') {
      decoder.close();
    }
  }
  if (!found) {
    throw failure ?? new Error(`frame ${index} cannot be decoded`);
  }
  return found;
}
