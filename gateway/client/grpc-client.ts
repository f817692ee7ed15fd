import { randomUUID } from 'node:crypto';
import {
  type DownloadVideoResponse,
  VideoFile,
  type Video as VideoMessage,
  VideoServiceDefinition,
} from '../../proto/gen/fusionframes/v1/video.ts';
import { type ConnectedClient, connect, longCallSeconds, repeatable } from '../../services/kit/channel.ts';
import type { ClientTls } from '../../services/kit/tls.ts';
import { wireJobFiles } from '../../services/pipeline/job-files.ts';
import { wireJobStates } from '../../services/pipeline/job-states.ts';
import { wireUsageGroups } from '../../services/pipeline/usage-groups.ts';
import { requireFrame, requireTimes, wireOf } from './check-options.ts';
import { followChanges } from './follow-changes.ts';
import { type Download, type DownloadOptions, maxPageSize, usagePageSize, type VideoClient } from './video-client.ts';
import {
  fromModelMessage,
  fromUsageGroup,
  fromVideoMessage,
  toCreateMessage,
  toFinishMessage,
  toLabels,
  toWebhookMessage,
} from './video-message.ts';

export interface GrpcClientOptions {
  /** `host:port`, `dns:///name:port`, `ipv4:a:1,b:2` or `unix:///absolute/path`. */
  address: string;
  /** Default: none, for a gateway without keys. */
  apiKey?: string;
  /** Default: no TLS. */
  tls?: ClientTls;
}

/** {@link longCallSeconds} as a call's `deadline` takes it. */
const longCall = longCallSeconds * 1000;

/** A client of a gateway over gRPC. Connects with the first call. Throws INVALID_ARGUMENT for unreadable certificates. */
export function connectGrpc({ address, apiKey, tls }: GrpcClientOptions): VideoClient {
  const { client, close } = connect(VideoServiceDefinition, address, {
    ...(tls && { tls }),
    ...(apiKey && { metadata: { authorization: `Bearer ${apiKey}` } }),
  });
  return {
    async create(video, options) {
      const request = toCreateMessage(video, video.idempotencyKey ?? randomUUID());
      return toVideo(await client.createVideo(request, { ...repeatable, ...options }));
    },
    async createAll(videos, { idempotencyKey = randomUUID(), ...options } = {}) {
      const messages = videos.map((video) => toCreateMessage(video, ''));
      const request = { videos: messages, clientId: idempotencyKey };
      const created = await client.createVideos(request, { ...repeatable, ...options });
      return created.videos.map(fromVideoMessage);
    },
    async finish(id, { idempotencyKey = randomUUID(), metadata, webhook, ...settings } = {}, options) {
      const own = { metadata: toLabels(metadata), webhook: toWebhookMessage(webhook) };
      const request = { id, clientId: idempotencyKey, ...toFinishMessage(settings), ...own };
      return toVideo(await client.finishVideo(request, { ...repeatable, ...options }));
    },
    async remix(id, { prompt, metadata, webhook, idempotencyKey = randomUUID() }, options) {
      const own = { metadata: toLabels(metadata), webhook: toWebhookMessage(webhook) };
      const request = { id, prompt, clientId: idempotencyKey, ...own };
      return toVideo(await client.remixVideo(request, { ...repeatable, ...options }));
    },
    async models(options) {
      const { models } = await client.listModels({}, { ...repeatable, ...options });
      return models.map(fromModelMessage);
    },
    get: async (id, options) => toVideo(await client.getVideo({ id }, { ...repeatable, ...options })),
    async *list({ pageSize = maxPageSize, state, signal, metadata, ...filter } = {}) {
      requireTimes({ createdAfter: filter.createdAfter, createdBefore: filter.createdBefore });
      const request = {
        pageSize,
        ...filter,
        metadata: toLabels(metadata),
        ...(state !== undefined && { states: [wireOf('state', state, wireJobStates)] }),
      };
      const options = { ...repeatable, ...(signal && { signal }) };
      let pageToken = '';
      do {
        const page = await client.listVideos({ ...request, pageToken }, options);
        yield* page.videos.map(fromVideoMessage);
        pageToken = page.nextPageToken;
      } while (pageToken !== '');
    },
    cancel: async (id, options) => toVideo(await client.cancelVideo({ id }, { ...repeatable, ...options })),
    async delete(id, options) {
      await client.deleteVideo({ id }, options);
    },
    async *watch(id, { signal, onAbsence } = {}) {
      const options = { deadline: longCall, ...(signal && { signal }) };
      yield* followChanges(
        async function* (resumeToken) {
          for await (const change of client.watchVideo({ id, resumeToken }, options)) {
            yield { video: toVideo(change), token: change.resumeToken };
          }
        },
        { signal, onAbsence },
      );
    },
    download: (id, options) => download(client, id, options),
    async *usage({ groupBy = 'key', from, to = new Date(), ...options } = {}) {
      requireTimes({ from, to });
      const request = { groupBy: wireOf('groupBy', groupBy, wireUsageGroups), from, to, pageSize: usagePageSize };
      let pageToken = '';
      do {
        const page = await client.listUsage({ ...request, pageToken }, { ...repeatable, ...options });
        yield* page.groups.map(fromUsageGroup);
        pageToken = page.nextPageToken;
      } while (pageToken !== '');
    },
    close,
  };
}

async function download(
  client: ConnectedClient<VideoServiceDefinition>,
  id: string,
  { file = 'video', offset = 0, signal }: DownloadOptions = {},
): Promise<Download> {
  if (typeof file !== 'string') {
    requireFrame('frame', file.frame);
  }
  const wanted =
    typeof file === 'string'
      ? { file: wireOf('file', file, wireJobFiles) }
      : { file: VideoFile.VIDEO_FILE_FRAME, frame: file.frame };
  const options = { deadline: longCall, ...(signal && { signal }) };
  const parts = client.downloadVideo({ id, ...wanted, offset: BigInt(offset) }, options)[Symbol.asyncIterator]();
  const first = await parts.next();
  if (first.done) {
    throw new Error('the gateway sent no content of the file');
  }
  const { mediaType, totalBytes, sha256 } = first.value;
  return { mediaType, bytes: Number(totalBytes), sha256, [Symbol.asyncIterator]: () => bytesOf(first.value, parts) };
}

async function* bytesOf(
  first: DownloadVideoResponse,
  rest: AsyncIterator<DownloadVideoResponse>,
): AsyncGenerator<Uint8Array> {
  try {
    yield first.data;
    for (let part = await rest.next(); !part.done; part = await rest.next()) {
      yield part.value.data;
    }
  } finally {
    await rest.return?.();
  }
}

function toVideo({ video }: { video?: VideoMessage | undefined }) {
  return fromVideoMessage(video!);
}
