import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** How a response with content misbehaves. */
export type Fault =
  | { kind: 'status'; status: number }
  /** The connection breaks after this many bytes. */
  | { kind: 'cut'; after: number }
  /** The response ends cleanly after this many bytes, without a Content-Length. */
  | { kind: 'short'; after: number }
  /** The response stalls after this many bytes; the connection stays open. */
  | { kind: 'silence'; after: number }
  | { kind: 'corrupt' | 'ignore range' | 'too long' };

/** A request for content. */
export interface ContentRequest {
  path: string;
  /** First requested byte. */
  start: number;
  authorization: string | undefined;
}

const firstCommit = '0123456789abcdef0123456789abcdef01234567';

type Repositories = ReadonlyMap<string, Map<string, Buffer>>;

interface Hashes {
  sha256: string;
  /** As Git names a file. */
  oid: string;
}

const knownHashes = new WeakMap<Buffer, Hashes>();

function hashesOf(content: Buffer): Hashes {
  let hashes = knownHashes.get(content);
  if (hashes === undefined) {
    hashes = {
      sha256: createHash('sha256').update(content).digest('hex'),
      oid: createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex'),
    };
    knownHashes.set(content, hashes);
  }
  return hashes;
}

/**
 * A loopback server with the part of the hub's HTTP API that pulling needs: paged lists, revisions, small files
 * directly, large files through a redirect to another port, and ranges.
 */
export class HubServer {
  /** Repository → path → content. */
  readonly repositories = new Map<string, Map<string, Buffer>>();
  /** Requests for content, in order. */
  readonly requests: ContentRequest[] = [];
  /** Chooses the fault for each request for content, given how many came before for the same path. */
  faultOf: (path: string, earlier: number) => Fault | undefined = () => undefined;
  /** When set, the only accepted token. */
  token = '';
  /** Sizes that lists report for large files instead of the real ones. */
  readonly announcedSizes = new Map<string, number>();
  /** Origin of further pages instead of its own. */
  pageOrigin: string | undefined;
  /** Whether lists have no last page. */
  isEndless = false;
  /** Headers sent with every refusal. */
  refusalHeaders: Record<string, string> = {};
  /** Status of the next repository requests. */
  readonly metadataFaults: number[] = [];
  readonly #hub: Server;
  readonly #store: Server;
  /** What repositories held at earlier commits. */
  readonly #history = new Map<string, Repositories>();
  #main = firstCommit;

  private constructor() {
    this.#hub = createServer((request, response) => this.#answer(request, response));
    this.#store = createServer((request, response) => this.#serveStored(request, response));
  }

  static async start(): Promise<HubServer> {
    const server = new HubServer();
    for (const each of [server.#hub, server.#store]) {
      each.listen(0, '127.0.0.1');
      await once(each, 'listening');
    }
    return server;
  }

  /** Makes `main` another commit. The former one keeps what repositories hold now. */
  commit(): void {
    this.#history.set(this.#main, new Map([...this.repositories].map(([name, files]) => [name, new Map(files)])));
    this.#main = createHash('sha1').update(this.#main).digest('hex');
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#hub.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    for (const each of [this.#hub, this.#store]) {
      each.close();
      each.closeAllConnections();
      await once(each, 'close');
    }
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url!, this.endpoint);
    const [, api, repository, path] =
      /^\/(api\/models\/)?([\w.-]+\/[\w.-]+)\/(.+)$/.exec(decodeURIComponent(url.pathname)) ?? [];
    const [commit = ''] = /[0-9a-f]{40}/.exec(path ?? '') ?? [];
    const files = this.#at(commit).get(repository ?? '');
    if (this.token !== '' && request.headers.authorization !== `Bearer ${this.token}`) {
      refuse(response, 401, 'GatedRepo');
    } else if (files === undefined || path === undefined) {
      refuse(response, 404, 'RepoNotFound');
    } else if (api === undefined) {
      this.#resolve(path, commit, files, request, response);
    } else if (this.metadataFaults.length > 0) {
      refuse(response, this.metadataFaults.shift()!, '', this.refusalHeaders);
    } else if (path.startsWith('revision/')) {
      const commits = [...this.#history.keys(), this.#main].map((each) => [each, each] as const);
      const sha = new Map([['main', this.#main], ['v1', firstCommit], ...commits]).get(path.slice('revision/'.length));
      sha === undefined ? refuse(response, 404, 'RevisionNotFound') : sendJson(response, { sha });
    } else {
      this.#list(files, url, response);
    }
  }

  #at(commit: string): Repositories {
    return this.#history.get(commit) ?? this.repositories;
  }

  /** Three files per page. */
  #list(files: ReadonlyMap<string, Buffer>, url: URL, response: ServerResponse): void {
    const first = Number(url.searchParams.get('cursor') ?? 0);
    const entries = [...files].slice(first, first + 3).map(([path, content]) => {
      const { sha256, oid } = hashesOf(content);
      const size = this.announcedSizes.get(path) ?? content.length;
      const lfs = isLarge(path) ? { lfs: { oid: sha256, size, pointerSize: 134 } } : {};
      return { type: 'file', path, size: content.length, oid, ...lfs };
    });
    const folder = { type: 'directory', path: 'weights', size: 0, oid: firstCommit };
    if (this.isEndless || first + 3 < files.size) {
      url.searchParams.set('cursor', String(first + 3));
      response.setHeader('link', `<${url.href.replace(url.origin, this.pageOrigin ?? url.origin)}>; rel="next"`);
    }
    sendJson(response, [folder, ...entries]);
  }

  #resolve(
    path: string,
    commit: string,
    files: ReadonlyMap<string, Buffer>,
    request: IncomingMessage,
    response: ServerResponse,
  ): void {
    const name = path.replace(`resolve/${commit}/`, '');
    const content = files.get(name);
    if (content === undefined) {
      refuse(response, 404, 'EntryNotFound');
    } else if (isLarge(name)) {
      const { port } = this.#store.address() as AddressInfo;
      const key = `${commit}/${Buffer.from(name).toString('base64url')}`;
      response.writeHead(302, { location: `http://127.0.0.1:${port}/${key}`, 'x-linked-size': content.length }).end();
    } else {
      this.#send(name, content, request, response);
    }
  }

  #serveStored(request: IncomingMessage, response: ServerResponse): void {
    const [, commit = '', key = ''] = request.url!.split('/');
    const name = Buffer.from(key, 'base64url').toString();
    const content = [...this.#at(commit).values()].map((files) => files.get(name)).find((each) => each !== undefined);
    this.#send(name, content!, request, response);
  }

  #send(path: string, content: Buffer, request: IncomingMessage, response: ServerResponse): void {
    const earlier = this.requests.filter((each) => each.path === path).length;
    const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
    this.requests.push({ path, start: Number(range?.[1] ?? 0), authorization: request.headers.authorization });
    const fault = this.faultOf(path, earlier);
    if (fault?.kind === 'status') {
      refuse(response, fault.status, '', this.refusalHeaders);
      return;
    }
    const start = fault?.kind === 'ignore range' ? 0 : Number(range?.[1] ?? 0);
    if (start >= content.length && start > 0) {
      response.writeHead(416, { 'content-range': `bytes */${content.length}` }).end();
      return;
    }
    const body = Buffer.from(content.subarray(start));
    const partial = range !== null && fault?.kind !== 'ignore range';
    response.statusCode = partial ? 206 : 200;
    if (partial) {
      response.setHeader('content-range', `bytes ${start}-${content.length - 1}/${content.length}`);
    }
    sendBody(response, body, fault);
  }
}

function sendBody(response: ServerResponse, body: Buffer, fault: Fault | undefined): void {
  switch (fault?.kind) {
    case 'cut':
      response.setHeader('content-length', body.length);
      response.write(body.subarray(0, fault.after), () => response.destroy());
      break;
    case 'silence':
      response.setHeader('content-length', body.length);
      response.write(body.subarray(0, fault.after));
      break;
    case 'short':
      response.end(body.subarray(0, fault.after));
      break;
    case 'too long':
      response.end(Buffer.concat([body, body]));
      break;
    case 'corrupt':
      body[0]! ^= 1;
      response.end(body);
      break;
    default:
      response.setHeader('content-length', body.length);
      response.end(body);
  }
}

/** As in the hub's own rules for model repositories. */
function isLarge(path: string): boolean {
  return /\.(pt|bin|safetensors)$/.test(path);
}

function sendJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

function refuse(response: ServerResponse, status: number, code: string, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'x-error-code': code, ...headers }).end();
}
