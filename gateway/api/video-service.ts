import { createHash } from 'node:crypto';
import { Status } from 'nice-grpc-common';
import {
  type CreateVideoRequest,
  type DownloadVideoRequest,
  type ListVideosRequest,
  VideoServiceDefinition,
  VideoSettings,
} from '../../proto/gen/fusionframes/v1/video.ts';
import { FusionError, invalidField } from '../../services/kit/errors.ts';
import type { Preset } from '../../services/kit/preset.ts';
import { type Service, service } from '../../services/kit/serve.ts';
import { chunkBytes } from '../../services/kit/tensor-chunks.ts';
import type { JobFiles } from '../jobs/job-files.ts';
import type { VideoJobs } from '../jobs/video-jobs.ts';
import { openVideoFile } from './open-video-file.ts';
import { resolveSettings } from './resolve-settings.ts';
import { toVideo } from './video-message.ts';

const maxPageSize = 100;
const defaultPageSize = 20;
const maxClientIdLength = 128;

export interface VideoServiceContext {
  jobs: VideoJobs;
  files: JobFiles;
  preset: Preset;
  /** Told to the caller with every job. */
  warnings: readonly string[];
}

/** `VideoService` over gRPC. */
export function videoService({ jobs, files, preset, warnings }: VideoServiceContext): Service {
  return service(VideoServiceDefinition, {
    async createVideo({ settings, clientId }: CreateVideoRequest) {
      if (clientId.length > maxClientIdLength) {
        throw invalidField('client_id', `${clientId.length} characters`, `at most ${maxClientIdLength} characters`);
      }
      const resolved = resolveSettings(settings, preset);
      const job = await jobs.create({ settings: resolved, clientId, fingerprint: fingerprint(settings!), warnings });
      return { video: toVideo(job) };
    },

    async getVideo({ id }) {
      return { video: toVideo(await jobs.get(id)) };
    },

    async listVideos(request: ListVideosRequest) {
      const { limit, before } = readPage(request);
      // One more than asked for tells whether there is another page.
      const found = await jobs.list(limit + 1, before);
      const page = found.slice(0, limit);
      return {
        videos: page.map(toVideo),
        nextPageToken: found.length > limit ? String(page.at(-1)!.sequence) : '',
      };
    },

    async cancelVideo({ id }) {
      return { video: toVideo(await jobs.cancel(id)) };
    },

    async deleteVideo({ id }) {
      await jobs.delete(id);
      return {};
    },

    async *watchVideo({ id }, { signal }) {
      for await (const job of jobs.watch(id, signal)) {
        yield { video: toVideo(job) };
      }
    },

    async *downloadVideo(request: DownloadVideoRequest) {
      const { handle, bytes, mediaType } = await openVideoFile(await jobs.get(request.id), request, files);
      try {
        let header = { mediaType, totalBytes: BigInt(bytes) };
        for (let position = 0; position < bytes; ) {
          const { buffer, bytesRead } = await handle.read(Buffer.alloc(chunkBytes), 0, chunkBytes, position);
          if (bytesRead === 0) {
            throw new FusionError(Status.DATA_LOSS, `file: it ended after ${position} of ${bytes} bytes`);
          }
          yield { ...header, data: buffer.subarray(0, bytesRead) };
          header = { mediaType: '', totalBytes: 0n };
          position += bytesRead;
        }
      } finally {
        await handle.close();
      }
    },
  });
}

/** The same request has the same fingerprint, also when it leaves the seed to chance. */
function fingerprint(settings: VideoSettings): string {
  return createHash('sha256').update(VideoSettings.encode(settings).finish()).digest('hex');
}

function readPage({ pageSize, pageToken }: ListVideosRequest): { limit: number; before: number | undefined } {
  if (pageSize > maxPageSize) {
    throw invalidField('page_size', pageSize, `a whole number from 1 to ${maxPageSize}, or 0 for ${defaultPageSize}`);
  }
  if (pageToken !== '' && !/^\d{1,15}$/.test(pageToken)) {
    throw invalidField('page_token', pageToken, 'the next_page_token of the answer before');
  }
  return { limit: pageSize || defaultPageSize, before: pageToken === '' ? undefined : Number(pageToken) };
}
