import { VideoFile } from '../../proto/gen/fusionframes/v1/video.ts';

/** Named files of a job, with their numbers in the contract. Single frames are numbered instead. */
export const wireJobFiles = {
  video: VideoFile.VIDEO_FILE_VIDEO,
  thumbnail: VideoFile.VIDEO_FILE_THUMBNAIL,
  spritesheet: VideoFile.VIDEO_FILE_SPRITESHEET,
  storyboard: VideoFile.VIDEO_FILE_STORYBOARD,
  preview: VideoFile.VIDEO_FILE_PREVIEW,
  input_reference: VideoFile.VIDEO_FILE_INPUT_REFERENCE,
} as const satisfies Record<string, VideoFile>;

export type NamedFile = keyof typeof wireJobFiles;

export const namedFiles = Object.keys(wireJobFiles) as readonly NamedFile[] as readonly [NamedFile, ...NamedFile[]];
