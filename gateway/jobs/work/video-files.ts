import { join } from 'node:path';
import { keyframeStride } from '../../../services/pipeline/preset.ts';
import type { JobSettings } from '../../../services/pipeline/video-options.ts';
import { frameFileName } from '../../media/frame-file-name.ts';
import type { FrameFormat } from '../../media/frame-sink.ts';
import { openMp4Sink } from '../../media/mp4-sink.ts';
import { openPngFramesSink } from '../../media/png-frames-sink.ts';
import { openSpritesheetSink } from '../../media/spritesheet-sink.ts';
import { openStoryboardSink } from '../../media/storyboard-sink.ts';
import { openThumbnailSink } from '../../media/thumbnail-sink.ts';
import { openWebpSink } from '../../media/webp-sink.ts';
import type { JobFile } from '../job.ts';

/** The files of a finished video: how each is written, its media type and its description. */
export function videoFiles({ format, frameRate, keepFrames }: JobSettings, frames: FrameFormat) {
  const video = `video.${format}`;
  const openVideo = format === 'webp' ? openWebpSink : openMp4Sink;
  const frameNames = keepFrames ? Array.from({ length: frames.frames }, (_, index) => frameFileName(index)) : [];
  return {
    sinks: (folder: string) => [
      () => openVideo(join(folder, video), frames),
      () => openStoryboardSink(join(folder, 'storyboard.png'), frames, keyframeStride(frameRate)),
      () => openThumbnailSink(join(folder, 'thumbnail.webp'), frames),
      () => openSpritesheetSink(join(folder, 'spritesheet.webp'), frames),
      ...(keepFrames ? [() => openPngFramesSink(join(folder, 'frames'), frames)] : []),
    ],
    mediaTypes: {
      [video]: format === 'webp' ? 'image/webp' : 'video/mp4',
      'storyboard.png': 'image/png',
      'thumbnail.webp': 'image/webp',
      'spritesheet.webp': 'image/webp',
      ...Object.fromEntries(frameNames.map((name) => [`frames/${name}`, 'image/png'])),
    } as Record<string, string>,
    named: (stored: Readonly<Record<string, JobFile>>) => ({
      files: {
        video: stored[video]!,
        storyboard: stored['storyboard.png']!,
        thumbnail: stored['thumbnail.webp']!,
        spritesheet: stored['spritesheet.webp']!,
      },
      frameFiles: frameNames.map((name) => stored[`frames/${name}`]!),
    }),
  };
}
