import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

/** How a bucket lies; may be changed at any time. */
export interface Lies {
  /** What is stored of an uploaded object; `undefined` if nothing. */
  keep(key: string, body: Buffer): Buffer | undefined;
  /** What is returned for a stored object. */
  give(key: string, body: Buffer): Buffer;
  /** The ETag of every object; `undefined` for none. */
  tag: string | undefined;
  /** Whether requests for a range are answered with the whole object. */
  ignoresRanges: boolean;
  /** Bytes of an object after which the bucket falls silent; -1: it gives no answer at all. Default: never. */
  silentAfter: number | undefined;
}

export interface LyingBucket {
  endpoint: string;
  lies: Lies;
  close(): Promise<void>;
}

/** No lies. */
export const honest: Lies = {
  keep: (_, body) => body,
  give: (_, body) => body,
  tag: '"etag"',
  ignoresRanges: false,
  silentAfter: undefined,
};

/** A bucket that reports success for every request, whatever it really does. Does not support multipart uploads. */
export async function startLyingBucket(): Promise<LyingBucket> {
  const objects = new Map<string, Buffer>();
  const lies = { ...honest };
  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url!, 'http://bucket');
    const key = decodeURIComponent(pathname).replace(/^\/[^/]+\/?/, '');
    const body = await buffer(request);
    if (request.method === 'PUT') {
      const kept = lies.keep(key, body);
      if (kept) {
        objects.set(key, kept);
      }
      response.setHeader('etag', '"etag"').end();
    } else if (request.method === 'DELETE') {
      objects.delete(key);
      response.writeHead(204).end();
    } else if (searchParams.has('list-type')) {
      const prefix = searchParams.get('prefix') ?? '';
      const contents = [...objects.keys()].filter((each) => each.startsWith(prefix));
      response.end(
        `<ListBucketResult>${contents.map((each) => `<Contents><Key>${each}</Key></Contents>`).join('')}</ListBucketResult>`,
      );
    } else {
      const found = objects.get(key);
      if (found) {
        give(response, lies.give(key, found), lies.ignoresRanges ? undefined : request.headers.range, lies);
      } else {
        response.writeHead(404).end('<Error><Code>NoSuchKey</Code></Error>');
      }
    }
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    lies,
    close: () => close(server),
  };
}

function give(response: ServerResponse, body: Buffer, range: string | undefined, { tag, silentAfter }: Lies): void {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? [];
  const start = Number(first ?? 0);
  const part = first === undefined ? body : body.subarray(start, Number(last) + 1);
  const headers = {
    'content-length': part.length,
    ...(tag !== undefined && { etag: tag }),
    ...(first !== undefined && { 'content-range': `bytes ${start}-${start + part.length - 1}/${body.length}` }),
  };
  if (silentAfter === undefined) {
    response.writeHead(first === undefined ? 200 : 206, headers).end(part);
  } else if (silentAfter >= 0) {
    response.writeHead(first === undefined ? 200 : 206, headers).flushHeaders();
    response.write(part.subarray(0, silentAfter));
  }
}

async function close(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}
