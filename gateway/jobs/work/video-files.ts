import { join } from 'node:path';
import { keyframeStride } from '../../../services/pipeline/preset.ts';
import type { JobSettings } from '../../../services/pipeline/video-options.ts';
import { frameFileName } from '../../media/frame-file-name.ts';
import type { FrameFormat } from '../../media/frame-sink.ts';
import { loadMedia } from '../../media/load-media.ts';
import type { JobFile } from '../job.ts';

/** The files of a finished video: how each is written, its media type and its description. */
export function videoFiles({ format, frameRate, keepFrames }: JobSettings, frames: FrameFormat) {
  const video = `video.${format}`;
  const frameNames = keepFrames ? Array.from({ length: frames.frames }, (_, index) => frameFileName(index)) : [];
  const mediaType = format === 'webp' ? 'image/webp' : 'video/mp4';
  return {
    video: { name: video, mediaType },
    sinks: async (folder: string) => {
      // Encoders are loaded by the first video, because they take a third of a gateway's start.
      await loadMedia();
      const media = await import('../../media/sinks.ts');
      const openVideo = format === 'webp' ? media.openWebpSink : media.openMp4Sink;
      return [
        () => openVideo(join(folder, video), frames),
        () => media.openStoryboardSink(join(folder, 'storyboard.png'), frames, keyframeStride(frameRate)),
        () => media.openThumbnailSink(join(folder, 'thumbnail.webp'), frames),
        () => media.openSpritesheetSink(join(folder, 'spritesheet.webp'), frames),
        ...(keepFrames ? [() => media.openPngFramesSink(join(folder, 'frames'), frames)] : []),
      ];
    },
    mediaTypes: {
      [video]: mediaType,
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
