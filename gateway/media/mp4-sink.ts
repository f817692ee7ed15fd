import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { EncodedVideoPacketSource, Mp4OutputFormat, Output, StreamTarget, type StreamTargetChunk } from 'mediabunny';
import { partialName } from '../../services/kit/write-whole.ts';
import type { FrameFormat, FrameSink } from './frame-sink.ts';
import { H264Encoder } from './h264-encoder.ts';
import { clearTimes } from './mp4-times.ts';

/**
 * Writes H.264 in MP4 while frames arrive. The index goes before the pictures, into space reserved for it, so that the
 * file plays while it downloads. The same frames give the same bytes on machines with the same number of processors
 * (the encoder cuts large pictures into as many slices as it has threads).
 */
export async function openMp4Sink(path: string, format: FrameFormat): Promise<FrameSink> {
  const partial = partialName(path);
  const file = await open(partial, 'wx');
  let index: { data: Uint8Array<ArrayBuffer>; start: number } | undefined;
  const output = new Output({
    format: new Mp4OutputFormat({
      fastStart: 'reserve',
      onMoov: (data, start) => {
        index = { data: data.slice(), start };
      },
    }),
    target: new StreamTarget(new WritableStream({ write: (chunk) => writeAt(file, chunk) })),
  });
  const source = new EncodedVideoPacketSource('avc');
  output.addVideoTrack(source, { frameRate: format.playbackRate, maximumPacketCount: format.frames });
  const started = output.start();
  const encoder = new H264Encoder(format, async ({ packet, metadata }) => {
    await started;
    await source.add(packet, metadata as Parameters<typeof source.add>[1]);
  });
  return {
    write: (frame) => encoder.encode(frame),
    async finish() {
      await encoder.finish();
      await output.finalize();
      if (index) {
        clearTimes(index.data);
        await writeAt(file, { data: index.data, position: index.start });
      }
      await file.close();
      await rename(partial, path);
    },
    async abort() {
      encoder.abort(new Error('Writing the video was aborted'));
      await output.cancel().catch(() => {});
      await file.close();
      await rm(partial, { force: true });
    },
  };
}

async function writeAt(file: FileHandle, { data, position }: Pick<StreamTargetChunk, 'data' | 'position'>) {
  for (let written = 0; written < data.length; ) {
    const { bytesWritten } = await file.write(data, written, data.length - written, position + written);
    written += bytesWritten;
  }
}
