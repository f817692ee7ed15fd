import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { packageRoot } from '../../services/kit/package-root.ts';
import { withTemporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { decodeMp4 } from '../testing/decode-mp4.ts';
import { discFrames, luma, peakSignalToNoise } from '../testing/frames.ts';
import { frameFileName } from './frame-file-name.ts';
import type { FrameFormat } from './frame-sink.ts';
import { openMp4Sink } from './mp4-sink.ts';
import { openPngFramesSink } from './png-frames-sink.ts';
import { openStoryboardSink } from './storyboard-sink.ts';
import { openWebpSink } from './webp-sink.ts';
import { writeFrames } from './write-frames.ts';

const small: FrameFormat = { width: 64, height: 64, playbackRate: 8, frames: 57 };

async function collect(format: FrameFormat): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = [];
  for await (const frame of discFrames(format)) {
    frames.push(frame);
  }
  return frames;
}

async function writeMp4(path: string, format: FrameFormat): Promise<void> {
  await writeFrames(discFrames(format), format, [() => openMp4Sink(path, format)]);
}

describe('MP4', () => {
  test.each([
    [small],
    [{ width: 72, height: 64, playbackRate: 30, frames: 12 }],
    [{ width: 512, height: 512, playbackRate: 8, frames: 3 }],
    [{ width: 256, height: 128, playbackRate: 2, frames: 1 }],
  ])('%o decodes to its frames', (format) =>
    withTemporaryFolder(async (folder) => {
      const path = join(folder, 'video.mp4');
      await writeMp4(path, format);
      const video = await decodeMp4(path);
      expect(video).toMatchObject({
        codec: 'avc',
        codecString: expect.stringMatching(/^avc1\.6400/),
        colorSpace: { primaries: 'bt709', transfer: 'bt709', matrix: 'smpte170m', fullRange: false },
        width: format.width,
        height: format.height,
      });
      expect(video.duration).toBeCloseTo(format.frames / format.playbackRate, 3);
      expect(video.frames).toHaveLength(format.frames);
      // Chroma at half resolution is what small pictures with hard coloured edges lose; the luma shows the encoder.
      const frames = await collect(format);
      expect(peakSignalToNoise(frames, video.frames)).toBeGreaterThan(31);
      expect(peakSignalToNoise(frames.map(luma), video.frames.map(luma))).toBeGreaterThan(43);
      expect(await readdir(folder)).toEqual(['video.mp4']);
    }),
  );

  test('has a key frame every second', () =>
    withTemporaryFolder(async (folder) => {
      const path = join(folder, 'video.mp4');
      await writeMp4(path, { ...small, playbackRate: 7.5, frames: 20 });
      expect((await decodeMp4(path)).keyFrames).toEqual([0, 8, 16]);
    }));

  test('the index comes before the pictures', () =>
    withTemporaryFolder(async (folder) => {
      await writeMp4(join(folder, 'video.mp4'), small);
      const text = (await readFile(join(folder, 'video.mp4'))).toString('latin1');
      expect(text.indexOf('moov')).toBeGreaterThan(0);
      expect(text.indexOf('moov')).toBeLessThan(text.indexOf('mdat'));
    }));

  test('the same frames give the same bytes at another time', () =>
    withTemporaryFolder(async (folder) => {
      const sizes = [64, 256];
      const write = async (name: string) => {
        for (const size of sizes) {
          await writeMp4(join(folder, `${name}${size}.mp4`), { ...small, width: size, height: size, frames: 6 });
        }
      };
      await write('a');
      // The file's clock counts seconds.
      await new Promise((resolve) => setTimeout(resolve, 1100));
      await write('b');
      for (const size of sizes) {
        const [first, second] = ['a', 'b'].map((name) => readFileSync(join(folder, `${name}${size}.mp4`)));
        expect(first!.equals(second!)).toBe(true);
      }
    }));
});

test('a WebP contains every frame with the right duration', () =>
  withTemporaryFolder(async (folder) => {
    const format = { ...small, playbackRate: 30 };
    const path = join(folder, 'video.webp');
    await writeFrames(discFrames(format), format, [() => openWebpSink(path, format)]);
    const { format: kind, pages, width, height, delay, loop } = await sharp(path).metadata();
    expect({ kind, pages, width, height, loop }).toEqual({ kind: 'webp', pages: 57, width: 64, height: 64, loop: 0 });
    expect(delay!.reduce((sum, milliseconds) => sum + milliseconds)).toBe(1900);
    const pixels = await sharp(path, { pages: -1 }).removeAlpha().raw().toBuffer();
    const decoded = Array.from({ length: 57 }, (_, i) => pixels.subarray(i * 64 * 64 * 3, (i + 1) * 64 * 64 * 3));
    expect(peakSignalToNoise(await collect(format), decoded)).toBeGreaterThan(30);
  }));

test('a library whose binary is missing is named', async () => {
  const refuse = 'export const resolve=(name,c,next)=>{if(name==="sharp")throw Error("no binary");return next(name,c)}';
  const hook = `import{register}from"node:module";register(${JSON.stringify(`data:text/javascript,${refuse}`)})`;
  const media = pathToFileURL(join(packageRoot, 'dist', 'gateway', 'media', 'load-media.js'));
  const load = `(await import("${media}")).loadMedia()`;
  const args = ['--import', `data:text/javascript,${hook}`, '--input-type=module', '--eval', load];
  await expect(promisify(execFile)(process.execPath, args, { env: {} })).rejects.toThrow(
    /the package sharp cannot be loaded on .* \(no binary\)/,
  );
});

test('PNG frames are exact', () =>
  withTemporaryFolder(async (folder) => {
    const format = { ...small, frames: 3 };
    await writeFrames(discFrames(format), format, [() => openPngFramesSink(join(folder, 'frames'), format)]);
    expect((await readdir(join(folder, 'frames'))).sort()).toEqual(['0000.png', '0001.png', '0002.png']);
    const frames = await collect(format);
    for (const [index, frame] of frames.entries()) {
      const pixels = await sharp(join(folder, 'frames', frameFileName(index)))
        .raw()
        .toBuffer();
      expect(Buffer.compare(pixels, frame)).toBe(0);
    }
  }));

test('the storyboard holds every keyframe in its place', () =>
  withTemporaryFolder(async (folder) => {
    const format = { ...small, frames: 25 };
    const path = join(folder, 'storyboard.png');
    await writeFrames(discFrames(format), format, [() => openStoryboardSink(path, format, 4)]);
    expect(await sharp(path).metadata()).toMatchObject({ width: 320, height: 128 });
    const keyframe = await sharp(path).extract({ left: 64, top: 64, width: 64, height: 64 }).raw().toBuffer();
    expect(Buffer.compare(keyframe, (await collect(format))[24]!)).toBe(0);
  }));

describe('an incomplete output leaves no files', () => {
  function everySink(folder: string) {
    return [
      () => openMp4Sink(join(folder, 'video.mp4'), small),
      () => openWebpSink(join(folder, 'video.webp'), small),
      () => openPngFramesSink(join(folder, 'frames'), small),
      () => openStoryboardSink(join(folder, 'storyboard.png'), small, 4),
    ];
  }

  async function* failing() {
    yield* discFrames({ ...small, frames: 10 });
    throw new Error('the decoder is gone');
  }

  test.each([
    ['a source that fails', failing, /the decoder is gone/],
    [
      'too few frames',
      () => discFrames({ ...small, frames: 10 }),
      /returned 10 frames \(expected 57 frames of 64x64\)/,
    ],
    ['too many frames', () => discFrames({ ...small, frames: 58 }), /returned frame 58/],
    ['frames of another size', () => discFrames({ ...small, width: 72 }), /frame 1 of 13824 bytes/],
  ])('%s', (_, frames, message) =>
    withTemporaryFolder(async (folder) => {
      await expect(writeFrames(frames(), small, everySink(folder))).rejects.toThrow(message);
      expect(await readdir(folder)).toEqual([]);
    }),
  );

  test('a sink that cannot be opened', () =>
    withTemporaryFolder(async (folder) => {
      const openers = [...everySink(folder), () => openMp4Sink(join(folder, 'absent', 'video.mp4'), small)];
      await expect(writeFrames(discFrames(small), small, openers)).rejects.toThrow(/ENOENT/);
      expect(await readdir(folder)).toEqual([]);
    }));
});
