import { BlockList } from 'node:net';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import { z } from 'zod';
import { either } from '../../../services/kit/either.ts';
import { shown } from '../../../services/kit/errors.ts';
import { boundConnections, type ConnectionBounds } from '../../../services/kit/limits/bound-connections.ts';
import type { Logger } from '../../../services/kit/log.ts';
import { Patience } from '../../database/patience.ts';
import type { ApiKeys } from '../../keys/api-keys.ts';
import { type Caller, requireScope, type Scope } from '../../keys/caller.ts';
import type { CallsOfKeys } from '../../keys/calls-of-keys.ts';
import { maxRequestBytes } from '../max-request-bytes.ts';
import { logAccess } from './access-log.ts';
import { boundPipelining } from './bound-pipelining.ts';
import { answerBrokenRequest, refuseTunnel } from './broken-request.ts';
import { refuseForeignName, refuseForeignOrigin } from './guard-origin.ts';
import { ProtocolError, preconditionFailed, toHttpError } from './http-error.ts';
import { bodyTooLarge, readBodies } from './read-body.ts';
import { readFields, readQuery } from './read-fields.ts';
import { refuseExpectation, refuseRepeatedHeaders, requireHost } from './refuse-by-headers.ts';
import { newRequestId } from './request-id.ts';
import { RequestPace } from './request-pace.ts';
import { RequestPlaces } from './request-places.ts';
import type { Route } from './route.ts';
import { beginTrace, inTrace } from './trace-requests.ts';

export interface AppOptions {
  routes: readonly Route[];
  log: Logger;
  keys: ApiKeys;
  /** Limits the requests of each key. Default: no limit. */
  calls?: CallsOfKeys;
  /** Maximum number of requests in progress, excluding probes; beyond it the response is 429. */
  maxConcurrentCalls: number;
  /** Limits on connections. Default: none. */
  connections?: ConnectionBounds;
  /** Aborts when the server starts to shut down. */
  stopping: AbortSignal;
  /** Proxies whose forwarding headers are trusted. Default: none. */
  trustedProxies?: BlockList | undefined;
  /** Time a client has to send headers and body, seconds. */
  requestSeconds: number;
}

/** A connection without traffic in either direction is closed after this long, seconds. */
const idleSeconds = 60;

/** Default response headers: no caching, framing, sniffing or embedding by other sites. No CORS. */
const defaultHeaders = {
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cache-control': 'no-store',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};

/** Paths of comparable servers, and what to do instead. */
const pathsOfOthers = {
  '/v1/videos/sync': 'POST /v1/videos, then follow /v1/videos/{id}/events and fetch /v1/videos/{id}/content',
  '/v1/videos/generations': 'POST /v1/videos',
  '/v1/videos/edits': 'videos are made from text and a picture, by POST /v1/videos',
  '/v1/videos/extensions': 'POST /v1/videos with a frame of the video as `input_reference`',
};

/** The HTTP server without its socket: limits, errors, log and the routes. */
export function createApp(options: AppOptions): FastifyInstance {
  const { log, stopping, requestSeconds } = options;
  const app = fastify({
    bodyLimit: maxRequestBytes,
    exposeHeadRoutes: false,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    genReqId: newRequestId,
    requestTimeout: requestSeconds * 1000,
    connectionTimeout: idleSeconds * 1000,
    http: {
      headersTimeout: requestSeconds * 1000,
      connectionsCheckingInterval: 1000,
      maxHeaderSize: 16 << 10,
      // Checked by a hook below, whose answer is JSON.
      requireHostHeader: false,
    },
    clientErrorHandler: answerBrokenRequest,
    // For paths that the router cannot decode; no hook has run.
    frameworkErrors: (error, request, reply) => {
      reply.headers({ ...defaultHeaders, 'x-request-id': request.id });
      sendError(reply as unknown as FastifyReply, error);
    },
  });
  app.server.on('connect', refuseTunnel);
  boundPipelining(app.server, log);
  if (options.connections) {
    boundConnections(app.server, options.connections, log);
  }
  readBodies(app);
  app.decorateRequest('caller');
  app.decorateRequest('head');
  app.decorateRequest('patience');
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ ...defaultHeaders, 'x-request-id': request.id });
    if (stopping.aborted) {
      reply.header('connection', 'close');
    }
    // A streamed response has more listeners, ours and Fastify's, than Node expects without a leak.
    reply.raw.setMaxListeners(20);
    logAccess(log, request, reply);
    refuseRepeatedHeaders(request);
    requireHost(request);
    refuseExpectation(request);
  });
  const places = new RequestPlaces(options);
  app.addHook('onRequest', async (request, reply) => places.enter(request, reply));
  app.addHook('onRequest', async (request) => {
    if (request.is404) {
      // Here, because the not-found handler would wait for the body.
      throw noSuchPath(request);
    }
  });
  app.setErrorHandler((error, request, reply) => {
    const isTooLarge = (error as { code?: string }).code === 'FST_ERR_CTP_BODY_TOO_LARGE';
    const { bodyLimit } = request.routeOptions;
    const { status } = sendError(reply, isTooLarge ? bodyTooLarge(bodyLimit) : error);
    if (status === 500) {
      log.error({ request: request.id, route: request.routeOptions.url, err: error }, 'request failed');
    }
  });
  for (const [path, instead] of Object.entries(pathsOfOthers)) {
    const onRequest = async () => {
      throw new ProtocolError(404, 'not_supported', `${path} does not exist here: ${instead}`);
    };
    app.all(path, { onRequest }, async () => undefined);
  }
  app.setNotFoundHandler((request) => {
    throw noSuchPath(request);
  });
  addRoutes(app, options, places);
  return app;
}

function noSuchPath({ method, url }: FastifyRequest): ProtocolError {
  return new ProtocolError(404, 'no_such_path', `Route ${method} ${shown(url.split('?')[0]!)} not found`);
}

function addRoutes(app: FastifyInstance, options: AppOptions, places: RequestPlaces): void {
  const pace = new RequestPace(app.server);
  for (const route of options.routes) {
    app.route({
      method: route.head ? ['GET', 'HEAD'] : route.method,
      url: toUrl(route.path),
      ...(route.bodyLimit !== undefined && { bodyLimit: route.bodyLimit }),
      onRequest: async (request, reply) => {
        beginTrace(request, reply, route.path);
        refuseForeignOrigin(request, options.trustedProxies ?? new BlockList());
        const patience = new Patience(() => reply.raw.headersSent);
        (request as WithPatience).patience = patience;
        const { scope } = route;
        if (scope) {
          const caller = await patience.during(() => admit(request, scope, options));
          places.recognize(request, reply, caller);
          (request as WithCaller).caller = caller;
          await pace.turn();
        }
        (request as WithHead).head = readHead(route, request);
      },
      handler: (request, reply) =>
        (request as WithPatience).patience!.during(() => inTrace(request, () => handle(route, request, reply))),
    });
  }
  for (const path of new Set(options.routes.map((route) => route.path))) {
    refuseOtherMethods(app, path, options.routes);
  }
}

async function admit(request: FastifyRequest, scope: Scope, options: AppOptions): Promise<Caller> {
  const caller = await options.keys.authenticate(request.headers.authorization);
  refuseForeignName(request, caller);
  requireScope(caller, scope);
  return caller;
}

/** The body of a route that takes none. */
const noFields = z.strictObject({}, 'absent or an empty object');

const noParameters = z.strictObject({});

async function handle(route: Route, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
  const gone = new AbortController();
  reply.raw.once('close', () => gone.abort());
  if (reply.raw.destroyed) {
    gone.abort();
  }
  const { caller, head } = request as WithCaller & WithHead;
  const isOptional = !route.body || route.bodyIsOptional;
  const body = readFields(route.body ?? noFields, request.body ?? (isOptional ? {} : undefined));
  return route.handle({ ...head, body, caller, request, reply, signal: gone.signal } as never);
}

/** Checks of the headers, which reject a request before its body is requested. */
function readHead(route: Route, { params, query, headers }: FastifyRequest): object {
  // Pages and probes may be opened with any parameters.
  const parameters = route.query ?? (route.scope && noParameters);
  const head = {
    params: route.params && readFields(route.params, params),
    query: parameters && readQuery(parameters, query as Record<string, unknown>),
    headers: route.headers && readFields(route.headers, headers),
  };
  if (!route.hasTag && ![undefined, '*'].includes(headers['if-match'])) {
    throw preconditionFailed();
  }
  return head;
}

function refuseOtherMethods(app: FastifyInstance, path: string, routes: readonly Route[]): void {
  const allowed = routes
    .filter((route) => route.path === path)
    .flatMap(({ method, head }) => (head ? [method, 'HEAD'] : [method]));
  app.route({
    method: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'].filter((method) => !allowed.includes(method)),
    url: toUrl(path),
    onRequest: async (request) => {
      throw new ProtocolError(
        405,
        'method_not_allowed',
        `Method ${request.method} is not allowed here; use ${either(allowed)}`,
        {
          allow: allowed.join(', '),
        },
      );
    },
    handler: async () => undefined,
  });
}

function sendError(reply: FastifyReply, thrown: unknown): { status: number } {
  const { status, headers, body } = toHttpError(thrown);
  // Set by the handler for a response that is not sent.
  for (const name of ['etag', 'content-length', 'content-disposition', 'accept-ranges']) {
    reply.removeHeader(name);
  }
  reply
    .code(status)
    .headers(headers)
    .type('application/json; charset=utf-8')
    .header('cache-control', 'no-store')
    .send(body);
  return { status };
}

function toUrl(path: string): string {
  return path.replace(/\{(\w+)\}/g, ':$1');
}

type WithCaller = { caller?: Caller };
type WithHead = { head?: object };
type WithPatience = { patience?: Patience };
