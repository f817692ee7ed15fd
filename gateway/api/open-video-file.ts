import { type FileHandle, open } from 'node:fs/promises';
import { Status } from 'nice-grpc-common';
import { type DownloadVideoRequest, VideoFile } from '../../proto/gen/fusionframes/v1/video.ts';
import { FusionError, invalidField } from '../../services/kit/errors.ts';
import type { Job } from '../jobs/job.ts';
import type { JobFiles } from '../jobs/job-files.ts';

interface FileOfJob {
  path: string;
  mediaType: string;
}

/**
 * Opens a file of a job. Throws FAILED_PRECONDITION when the job has not succeeded or did not keep its frames,
 * INVALID_ARGUMENT for an unknown kind of file or frame, NOT_FOUND when the file was deleted meanwhile.
 */
export async function openVideoFile(
  job: Job,
  request: DownloadVideoRequest,
  files: JobFiles,
): Promise<{ handle: FileHandle; bytes: number; mediaType: string }> {
  const { path, mediaType } = choose(job, request, files);
  const handle = await open(path).catch((cause: unknown) => {
    throw new FusionError(Status.NOT_FOUND, `file: the file of job ${job.id} is no longer there`, {
      reason: 'FILE_IS_GONE',
      field: 'file',
      cause,
    });
  });
  return { handle, bytes: (await handle.stat()).size, mediaType };
}

function choose(job: Job, { file, frame }: DownloadVideoRequest, files: JobFiles): FileOfJob {
  if (job.state !== 'succeeded') {
    throw noFile(`job ${job.id} is ${job.state}, allowed: a job that has succeeded`);
  }
  const { format, keepFrames } = job.settings;
  switch (file) {
    case VideoFile.VIDEO_FILE_UNSPECIFIED:
    case VideoFile.VIDEO_FILE_VIDEO:
      return { path: files.video(job.id, format), mediaType: format === 'webp' ? 'image/webp' : 'video/mp4' };
    case VideoFile.VIDEO_FILE_STORYBOARD:
      return { path: files.storyboard(job.id), mediaType: 'image/png' };
    case VideoFile.VIDEO_FILE_FRAME:
      if (!keepFrames) {
        throw noFile(`job ${job.id} kept no frames, allowed: a job created with keep_frames`);
      }
      if (frame >= job.frames) {
        throw invalidField('frame', frame, `a whole number from 0 to ${job.frames - 1}`);
      }
      return { path: files.frame(job.id, frame), mediaType: 'image/png' };
    default:
      throw invalidField('file', file, 'video, storyboard, frame');
  }
}

function noFile(why: string): FusionError {
  return new FusionError(Status.FAILED_PRECONDITION, `file: ${why}`, { reason: 'NO_SUCH_FILE_YET', field: 'file' });
}
