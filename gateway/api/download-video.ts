import {
  type DownloadVideoRequest,
  type DownloadVideoResponse,
  VideoFile,
} from '../../proto/gen/fusionframes/v1/video.ts';
import { choices, invalidField } from '../../services/kit/errors.ts';
import { namedFiles, wireJobFiles } from '../../services/pipeline/job-files.ts';
import { chunkBytes } from '../../services/pipeline/tensor-chunks.ts';
import type { JobFile, JobFileName } from '../jobs/job.ts';
import type { VideoJobs } from '../jobs/video-jobs.ts';
import type { Caller } from '../keys/caller.ts';

/** Streams a file of a job, or a range of its bytes, in messages of at most 1 MiB; the first one describes the file. */
export async function* downloadVideo(
  jobs: VideoJobs,
  request: DownloadVideoRequest,
  caller: Caller,
): AsyncGenerator<DownloadVideoResponse> {
  const name = fileName(request);
  const file = await jobs.findFile(request.id, name, caller);
  let header = { mediaType: file.mediaType, totalBytes: BigInt(file.bytes), sha256: file.sha256 };
  const { stream } = await jobs.openFile(request.id, name, caller, byteRange(request, file));
  for await (const piece of stream as AsyncIterable<Uint8Array>) {
    for (let position = 0; position < piece.length; position += chunkBytes) {
      yield { ...header, data: piece.subarray(position, position + chunkBytes) };
      header = { mediaType: '', totalBytes: 0n, sha256: '' };
    }
  }
}

function fileName({ file, frame }: DownloadVideoRequest): JobFileName {
  if (file === VideoFile.VIDEO_FILE_UNSPECIFIED) {
    return 'video';
  }
  if (file === VideoFile.VIDEO_FILE_FRAME) {
    return { frame };
  }
  const name = namedFiles.find((key) => wireJobFiles[key] === file);
  if (!name) {
    throw invalidField('file', file, choices([...namedFiles, 'frame']));
  }
  return name;
}

function byteRange({ offset, length }: DownloadVideoRequest, { bytes }: JobFile) {
  if (offset >= BigInt(bytes)) {
    throw invalidField('offset', offset, `a whole number from 0 to ${bytes - 1}`);
  }
  const start = Number(offset);
  const end = length === 0n ? bytes : Math.min(bytes, start + Number(length));
  return { start, end: end - 1 };
}
