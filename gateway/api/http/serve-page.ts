import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { extname, join, sep } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../../services/kit/errors.ts';
import { packageRoot } from '../../../services/kit/package-root.ts';

/** Where the build puts the files for the browser. */
const pageFolder = join(packageRoot, 'dist', 'gateway', 'page');

const mediaTypes: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Addresses of the pages; their files are below `/page/`. Side by side, because the pages address files and API relatively. */
const addresses: Record<string, string> = { 'index.html': '/', 'admin.html': '/admin' };

/**
 * Content security policy of the page: its own scripts and styles, requests to its own origin, and pictures and videos
 * that it has fetched. Nothing inline, nothing from other origins, no frames.
 */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' blob:",
  'media-src blob:',
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

interface PageFile {
  mediaType: string;
  etag: string;
  body: Buffer;
}

/**
 * Serves the page at `/`, the operators' one at `/admin` and their files under `/page/`, without authentication: only the API needs a key. The files are
 * read once, at startup. Throws FAILED_PRECONDITION if they have not been built.
 */
export async function servePage(app: FastifyInstance): Promise<void> {
  const files = await readPage();
  for (const [path, { mediaType, etag, body }] of files) {
    app.route({
      method: ['GET', 'HEAD'],
      url: path,
      handler: async (request, reply) => {
        // Always revalidated, so that page and API have the same version.
        reply.headers({ 'content-security-policy': contentSecurityPolicy, 'cache-control': 'no-cache', etag });
        if (request.headers['if-none-match'] === etag) {
          return reply.code(304).send();
        }
        return reply.type(mediaType).send(body);
      },
    });
  }
}

async function readPage(): Promise<Map<string, PageFile>> {
  const names = await readdir(pageFolder, { recursive: true }).catch((): string[] => []);
  const served = names.filter((name) => extname(name) in mediaTypes);
  if (!served.includes('index.html')) {
    throw new FusionError(Status.FAILED_PRECONDITION, `The page is not in ${pageFolder}: run "npm run build"`, {
      reason: 'PAGE_NOT_BUILT',
    });
  }
  const files = await Promise.all(
    served.map(async (name): Promise<[string, PageFile]> => {
      const body = await readFile(join(pageFolder, name));
      const etag = `"${createHash('sha256').update(body).digest('base64url')}"`;
      const path = addresses[name] ?? `/page/${name.split(sep).join('/')}`;
      return [path, { mediaType: mediaTypes[extname(name)]!, etag, body }];
    }),
  );
  return new Map(files);
}
