import { Status } from 'nice-grpc-common';
import { EnvHttpProxyAgent, fetch, type Response } from 'undici';
import { z } from 'zod';
import type { ErrorReason } from '../../services/kit/error-reasons.ts';
import { FusionError, shorten } from '../../services/kit/errors.ts';
import { parseJson } from '../../services/kit/parse-json.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';
import { parseSchema } from '../../services/kit/schema.ts';
import type { HashKind, HubFile, HubLocation } from '../checkpoints/hub-file.ts';
import { type RetryOptions, retry } from './retry.ts';
import { retryAfterSeconds } from './retry-after.ts';

/** Proxy URLs, and the hosts to reach directly; empty means none. */
export interface Proxies {
  httpProxy: string;
  httpsProxy: string;
  noProxy: string;
}

export interface HubClientOptions extends RetryOptions {
  /** Such as `https://huggingface.co`. */
  endpoint: string;
  /** If empty, only public repositories are accessible. Sent only to the endpoint, never to redirect targets. */
  token: string;
  /** Default: none. */
  proxies?: Proxies;
  /** Longest wait for a response to start, and between two chunks of it, in milliseconds. */
  timeoutMilliseconds: number;
}

const revisionSchema = z.object({ sha: z.string().regex(/^[0-9a-f]{40}$/) });
const treeSchema = z.array(
  z.object({
    type: z.string(),
    path: z.string(),
    size: z.number().int().min(0),
    oid: z.string(),
    lfs: z.object({ oid: z.string().regex(/^[0-9a-f]{64}$/), size: z.number().int().min(0) }).optional(),
  }),
);

/** The hub lists 1000 files per page. */
const maxPages = 100;
const maxJsonBytes = 64 << 20;

/**
 * The part of the hub's HTTP API that reads model repositories. Methods throw UNAUTHENTICATED, PERMISSION_DENIED or
 * NOT_FOUND, with a hint how to fix it, and UNAVAILABLE for transient failures.
 */
export class HubClient {
  readonly #options: HubClientOptions;
  readonly #dispatcher: EnvHttpProxyAgent;

  constructor(options: HubClientOptions) {
    this.#options = options;
    const { httpProxy, httpsProxy, noProxy } = options.proxies ?? { httpProxy: '', httpsProxy: '', noProxy: '' };
    this.#dispatcher = new EnvHttpProxyAgent({ httpProxy, httpsProxy, noProxy });
  }

  /** Closes the connections. */
  close(): Promise<void> {
    return this.#dispatcher.destroy();
  }

  /** The commit that a branch, tag or abbreviated commit refers to. */
  async commitOf(repository: string, revision: string): Promise<string> {
    const url = `${this.#options.endpoint}/api/models/${repository}/revision/${encodeURIComponent(revision)}`;
    const { body } = await this.#json(url, `${repository} at ${revision}`, revisionSchema);
    return body.sha;
  }

  /** Every file of a repository at a commit. */
  async listFiles(repository: string, commit: string): Promise<Map<string, HubFile>> {
    const files = new Map<string, HubFile>();
    let url: string | undefined = `${this.#options.endpoint}/api/models/${repository}/tree/${commit}?recursive=true`;
    for (let pages = 0; url !== undefined; pages++) {
      if (pages === maxPages) {
        throw unexpected(url, `a list of more than ${maxPages} pages`);
      }
      const page: { body: z.infer<typeof treeSchema>; next: string | undefined } = await this.#json(
        url,
        repository,
        treeSchema,
      );
      for (const { type, path, size, oid, lfs } of page.body) {
        if (type === 'file') {
          const hash = lfs ? { kind: 'sha256' as const, value: lfs.oid } : { kind: 'git-sha1' as const, value: oid };
          files.set(path, { path, size: lfs?.size ?? size, hash });
        }
      }
      url = page.next;
    }
    return files;
  }

  /** Files outside the hub, with the sizes that their server reports. `hashes` are `kind:hexadecimal`, by path. */
  async describeFiles(
    { repository, commit, address }: Omit<HubLocation, 'path'>,
    hashes: Readonly<Record<string, string>>,
  ): Promise<Map<string, HubFile>> {
    const files = new Map<string, HubFile>();
    for (const [path, hash] of Object.entries(hashes)) {
      const url = this.#urlOf({ repository, commit, path, ...(address !== undefined && { address }) });
      const size = await retry(() => this.#sizeOf(url, `${path} of ${repository}`), this.#options);
      const [kind, value] = hash.split(':') as [HashKind, string];
      files.set(path, { path, size, hash: { kind, value } });
    }
    return files;
  }

  /**
   * The content of a file from byte `start`. `startsAt` says where it really starts: at 0 if the server ignores ranges.
   * Throws OUT_OF_RANGE if the file has no such byte.
   */
  async open(location: HubLocation, start: number): Promise<{ startsAt: number; content: AsyncIterable<Uint8Array> }> {
    const { repository, path } = location;
    const url = this.#urlOf(location);
    const headers: Record<string, string> = start > 0 ? { range: `bytes=${start}-` } : {};
    const watch = new Watch(this.#options);
    const response = await this.#request(url, `${path} of ${repository}`, headers, watch);
    const range = /^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '');
    const startsAt = response.status === 206 && range !== null ? Number(range[1]) : 0;
    return { startsAt, content: watch.content(response, url) };
  }

  /** Reads a whole response, retrying transient failures. */
  #json<T>(url: string, what: string, schema: z.ZodType<T>): Promise<{ body: T; next: string | undefined }> {
    return retry(() => this.#jsonOnce(url, what, schema), this.#options);
  }

  async #jsonOnce<T>(url: string, what: string, schema: z.ZodType<T>): Promise<{ body: T; next: string | undefined }> {
    const watch = new Watch(this.#options);
    const response = await this.#request(url, what, {}, watch);
    const pieces: Uint8Array[] = [];
    let length = 0;
    for await (const piece of watch.content(response, url)) {
      length += piece.length;
      if (length > maxJsonBytes) {
        throw unexpected(url, `more than ${maxJsonBytes} bytes`);
      }
      pieces.push(piece);
    }
    try {
      const body = parseSchema(schema, parseJson(Buffer.concat(pieces).toString('utf8')));
      return { body, next: nextPage(response.headers.get('link'), this.#options.endpoint) };
    } catch (error) {
      throw unexpected(url, shorten(reasonOf(error), 200), error);
    }
  }

  #urlOf({ repository, address, commit, path }: HubLocation): string {
    const base = address ?? `${this.#options.endpoint}/${repository}/resolve`;
    return `${base}/${commit}/${path.split('/').map(encodeURIComponent).join('/')}`;
  }

  async #sizeOf(url: string, what: string): Promise<number> {
    const watch = new Watch(this.#options);
    const response = await this.#request(url, what, {}, watch, 'HEAD');
    watch.stop();
    const size = Number(response.headers.get('content-length') ?? Number.NaN);
    if (!Number.isSafeInteger(size)) {
      throw new FusionError(Status.INTERNAL, `hub: ${url} did not report its size`, { reason: 'HUB_PROTOCOL' });
    }
    return size;
  }

  async #request(
    url: string,
    what: string,
    headers: Record<string, string>,
    watch: Watch,
    method: 'GET' | 'HEAD' = 'GET',
  ): Promise<Response> {
    // The token is the hub's alone.
    const token = url.startsWith(`${this.#options.endpoint}/`) ? this.#options.token : '';
    const authorization: Record<string, string> = token === '' ? {} : { authorization: `Bearer ${token}` };
    // Ranges count the bytes on the wire, so the content must not be compressed.
    const all = { 'accept-encoding': 'identity', 'user-agent': 'fusionframes', ...authorization, ...headers };
    const response = await watch.run(url, (signal) =>
      fetch(url, { method, headers: all, signal, dispatcher: this.#dispatcher }),
    );
    if (response.ok) {
      return response;
    }
    watch.stop();
    await response.body?.cancel().catch(() => {});
    throw refusal(response, what, token !== '');
  }
}

function unexpected(url: string, what: string, cause?: unknown): FusionError {
  const message = `hub: ${url} sent an unexpected response: ${what}`;
  return new FusionError(Status.INTERNAL, message, { reason: 'HUB_PROTOCOL', cause });
}

/** Ends a request that has been silent for too long or that the caller has abandoned. */
class Watch {
  readonly #timeout: number;
  readonly #signal: AbortSignal | undefined;
  readonly #ended = new AbortController();
  #timer: NodeJS.Timeout | undefined;

  constructor({ timeoutMilliseconds, signal }: HubClientOptions) {
    this.#timeout = timeoutMilliseconds;
    this.#signal = signal;
  }

  async run<T>(url: string, request: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.#signal?.throwIfAborted();
    this.#restart();
    try {
      return await request(AbortSignal.any([this.#ended.signal, ...(this.#signal ? [this.#signal] : [])]));
    } catch (error) {
      this.stop();
      throw this.#describe(url, error);
    }
  }

  async *content(response: Response, url: string): AsyncGenerator<Uint8Array> {
    try {
      for await (const piece of response.body ?? []) {
        this.#restart();
        yield piece;
      }
    } catch (error) {
      throw this.#describe(url, error);
    } finally {
      this.stop();
    }
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #restart(): void {
    this.stop();
    this.#timer = setTimeout(() => this.#ended.abort(), this.#timeout);
  }

  #describe(url: string, error: unknown): unknown {
    if (this.#signal?.aborted) {
      return this.#signal.reason;
    }
    const { host } = new URL(url);
    const fault = this.#ended.signal.aborted ? `no data for ${this.#timeout / 1000} s` : reasonOf(error);
    if (fault.startsWith('Proxy response (407)')) {
      const message = `hub: ${host}: the proxy requires a valid user and password (HTTP 407)`;
      return new FusionError(Status.UNAUTHENTICATED, message, { reason: 'HUB_ACCESS_DENIED', cause: error });
    }
    return new FusionError(Status.UNAVAILABLE, `hub: ${host}: ${fault}`, { reason: 'HUB_UNAVAILABLE', cause: error });
  }
}

function refusal({ status, headers }: Response, what: string, hasToken: boolean): FusionError {
  const after = retryAfterSeconds(headers);
  const error = (code: Status, reason: ErrorReason, message: string) =>
    new FusionError(code, `hub: ${what}: ${message} (HTTP ${status})`, {
      reason,
      ...(after !== undefined && { retryAfterSeconds: after }),
    });
  switch (status) {
    case 401:
      return hasToken
        ? error(
            Status.UNAUTHENTICATED,
            'HUB_TOKEN_REFUSED',
            'the token in HF_TOKEN was rejected, or the repository does not exist',
          )
        : error(
            Status.UNAUTHENTICATED,
            'HUB_TOKEN_NEEDED',
            'a token is needed in HF_TOKEN, or the repository does not exist',
          );
    case 403:
      return error(
        Status.PERMISSION_DENIED,
        'HUB_ACCESS_DENIED',
        'access is denied: accept its terms on the hub, then use a token of that account',
      );
    case 404:
      return error(Status.NOT_FOUND, 'HUB_NOT_FOUND', missingEntry(headers.get('x-error-code')));
    case 416:
      return error(Status.OUT_OF_RANGE, 'HUB_RANGE', 'the file has no such bytes');
    case 408:
    case 429:
      return error(Status.UNAVAILABLE, 'HUB_BUSY', 'too many requests, or too slow');
    default:
      return status >= 500
        ? error(Status.UNAVAILABLE, 'HUB_UNAVAILABLE', 'the server failed')
        : error(Status.INTERNAL, 'HUB_PROTOCOL', 'the request was refused');
  }
}

function missingEntry(errorCode: string | null): string {
  const missing: Record<string, string> = { RevisionNotFound: 'revision', EntryNotFound: 'file' };
  return `${missing[errorCode ?? ''] ?? 'repository, revision or file'} not found`;
}

/** The next page of a list, if any. Throws if it is at another origin: the token is for this one only. */
function nextPage(link: string | null, endpoint: string): string | undefined {
  const next = /<([^>]+)>;\s*rel="next"/.exec(link ?? '')?.[1];
  if (next === undefined) {
    return undefined;
  }
  const url = URL.canParse(next, endpoint) ? new URL(next, endpoint) : undefined;
  if (url?.origin !== new URL(endpoint).origin) {
    throw new Error(
      `its list of files continues at ${url?.origin ?? next}, not at ${new URL(endpoint).origin}: set HF_ENDPOINT to the server's own address`,
    );
  }
  return url.href;
}
