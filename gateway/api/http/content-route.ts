import { Status } from 'nice-grpc-common';
import { z } from 'zod';
import { FusionError } from '../../../services/kit/errors.ts';
import { choice, text } from '../../../services/kit/values.ts';
import { type NamedFile, namedFiles } from '../../../services/pipeline/job-files.ts';
import type { VideoJobs } from '../../jobs/video-jobs.ts';
import { contentRange, matchesTag, namesTag } from './content-range.ts';
import { preconditionFailed } from './http-error.ts';
import { type Call, type Route, route } from './route.ts';
import { videoId } from './video-object.ts';

const query = z.strictObject({
  variant: choice(namedFiles)
    .given.default('video')
    .describe(
      'The video, its thumbnail, a grid of its frames, its keyframes side by side, an early preview, or the picture that it began with.',
    ),
});

const headers = z.object({
  range: text().given.optional().describe('Bytes of the file to return.'),
  'if-range': text()
    .given.optional()
    .describe('ETag the range applies to; if the file has another one, the whole file is returned.'),
  'if-match': text().given.optional().describe('ETags; the request fails if the file has none of them.'),
  'if-none-match': text().given.optional().describe('ETags of copies the caller has.'),
});

type ContentCall = Call<z.infer<typeof videoId>, z.infer<typeof query>, z.infer<typeof headers>, undefined>;

const extensions: Record<string, string> = { 'video/mp4': 'mp4', 'image/webp': 'webp', 'image/png': 'png' };
const mediaTypes = Object.keys(extensions);

export function contentRoute(jobs: VideoJobs): Route {
  return route(
    {
      method: 'GET',
      path: '/v1/videos/{id}/content',
      name: 'downloadVideoContent',
      summary: 'Download a file of a video, or part of it.',
      scope: 'read',
      params: videoId,
      query,
      headers,
      hasTag: true,
      answers: {
        200: { description: 'The whole file.', mediaTypes },
        206: { description: 'The requested part.', mediaTypes },
        412: { description: 'The file has none of the ETags in If-Match.' },
        304: { description: 'The caller already has the file.' },
      },
    },
    (call) => sendContent(jobs, call),
  );
}

async function sendContent(jobs: VideoJobs, call: ContentCall): Promise<unknown> {
  const { headers, caller, request, reply } = call;
  const { id } = call.params;
  const { variant } = call.query;
  const file = await jobs.findFile(id, variant, caller);
  const etag = `"${file.sha256}"`;
  reply.headers({
    etag,
    'accept-ranges': 'bytes',
    // Must be revalidated each time: a preview is replaced, a video deleted.
    'cache-control': 'private, no-cache',
    'content-disposition': `inline; filename="${fileName(id, variant, file.mediaType)}"`,
  });
  if (headers['if-match'] !== undefined && !matchesTag(headers['if-match'], etag)) {
    throw preconditionFailed();
  }
  if (namesTag(headers['if-none-match'], etag)) {
    return reply.code(304).send();
  }
  reply.type(file.mediaType).header('content-length', file.bytes);
  if (request.method === 'HEAD') {
    // Fails like a download.
    const { stream } = await jobs.openFile(id, variant, caller, { start: 0, end: 0 });
    stream.destroy();
    return reply.send();
  }
  const range = contentRange(headers, file.bytes, etag);
  const opened = await jobs.openFile(id, variant, caller, range);
  if (opened.sha256 !== file.sha256) {
    opened.stream.destroy();
    throw new FusionError(Status.UNAVAILABLE, `variant: ${variant} is being replaced; try again`, {
      reason: 'FILE_REPLACED',
      field: 'variant',
      retryAfterSeconds: 1,
    });
  }
  if (range) {
    reply
      .code(206)
      .header('content-length', range.end - range.start + 1)
      .header('content-range', `bytes ${range.start}-${range.end}/${file.bytes}`);
  }
  return reply.send(opened.stream);
}

function fileName(id: string, variant: NamedFile, mediaType: string): string {
  return `${id}${variant === 'video' ? '' : `-${variant}`}.${extensions[mediaType] ?? 'bin'}`;
}
