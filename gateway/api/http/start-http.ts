import type { BlockList } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { Status } from 'nice-grpc-common';
import { z } from 'zod';
import { type HostPort, parseHostPort, withPort } from '../../../services/kit/addresses.ts';
import { FusionError, invalidField } from '../../../services/kit/errors.ts';
import type { ConnectionBounds } from '../../../services/kit/limits/bound-connections.ts';
import { listenBacklog } from '../../../services/kit/limits/listen-backlog.ts';
import type { Logger } from '../../../services/kit/log.ts';
import { packageVersion } from '../../../services/kit/package-root.ts';
import { reasonOf } from '../../../services/kit/reason-of.ts';
import { openScope } from '../../../services/kit/scope.ts';
import type { VideoJobs } from '../../jobs/video-jobs.ts';
import type { ApiKeys } from '../../keys/api-keys.ts';
import type { CallsOfKeys } from '../../keys/calls-of-keys.ts';
import type { Operator } from '../../operator/operator.ts';
import type { NewJobContext } from '../new-job.ts';
import type { Readiness } from '../readiness.ts';
import { adminRoutes, adminSchemas } from './admin/admin-routes.ts';
import { contentRoute } from './content-route.ts';
import { createApp } from './create-app.ts';
import { eventRoute } from './event-route.ts';
import { health, healthRoutes, readinessAnswer } from './health-routes.ts';
import { modelList, modelObject, modelRoutes } from './model-routes.ts';
import { openApiDocument } from './openapi.ts';
import { presetList, presetRoutes } from './presets.ts';
import { type Route, route } from './route.ts';
import { servePage } from './serve-page.ts';
import { usageList } from './usage-object.ts';
import { usageRoute } from './usage-route.ts';
import { videoList, videoObject } from './video-object.ts';
import { createdVideos, deletedVideo, videoRoutes } from './video-routes.ts';

export interface HttpOptions {
  /** `host:port`; port 0 means any free port. */
  address: string;
  jobs: VideoJobs;
  newJobs: NewJobContext;
  operator: Operator;
  log: Logger;
  keys: ApiKeys;
  calls: CallsOfKeys;
  readiness: Readiness;
  /** Maximum number of requests in progress, including event streams; beyond it the response is 429. */
  maxConcurrentCalls: number;
  /** Proxies whose forwarding headers are trusted. Default: none. */
  trustedProxies?: BlockList | undefined;
  connections: ConnectionBounds;
  /** Time for requests in progress after `stop`, seconds. */
  drainSeconds: number;
}

export interface RunningHttp {
  /** The requested address with the port that was bound. */
  address: string;
  /** Stops accepting connections, ends event streams with a hint to reconnect, and lets other requests finish. */
  stop(): Promise<void>;
}

/** Time a client has to send its request, seconds. */
const requestSeconds = 30;

/** Starts the HTTP API. Throws INVALID_ARGUMENT for an invalid address, UNAVAILABLE when it cannot be bound. */
export function startHttp(options: HttpOptions): Promise<RunningHttp> {
  return openScope(undefined, async (scope) => {
    const { host, port } = requireHostPort(options.address);
    const stopping = scope.signal;
    const app = createApp({ ...options, routes: allRoutes(options, stopping), stopping, requestSeconds });
    scope.defer(async () => {
      const force = setTimeout(() => app.server.closeAllConnections(), options.drainSeconds * 1000);
      await app.close();
      clearTimeout(force);
    });
    await servePage(app);
    await listen(app, host, port);
    const bound = app.server.address() as { port: number };
    return { address: withPort(options.address, bound.port), stop: () => scope.close() };
  });
}

function allRoutes(options: HttpOptions, stopping: AbortSignal): Route[] {
  const { jobs, keys, newJobs, operator, readiness } = options;
  const { models } = newJobs;
  const routes = [
    ...videoRoutes({ jobs, newJobs }),
    contentRoute(jobs),
    eventRoute({ jobs, keys, models, stopping }),
    ...modelRoutes({ models, jobs, readiness }),
    usageRoute(jobs),
    ...presetRoutes(models),
    ...adminRoutes({ operator, jobs, models }),
    ...healthRoutes({ jobs, readiness, stopping }),
  ];
  const describing = openApiRoute(() => document);
  const all = [...routes, describing];
  const document = openApiDocument(all, packageVersion(), {
    Video: videoObject,
    VideoList: videoList,
    CreatedVideos: createdVideos,
    DeletedVideo: deletedVideo,
    Model: modelObject,
    ModelList: modelList,
    UsageList: usageList,
    PresetList: presetList,
    ...adminSchemas,
    Health: health,
    Readiness: readinessAnswer,
    OpenApi: openApi,
  });
  return all;
}

const openApi = z.looseObject({ openapi: z.literal('3.1.0') });

function openApiRoute(document: () => object): Route {
  return route(
    {
      method: 'GET',
      path: '/openapi.json',
      name: 'openApi',
      summary: 'Get this document.',
      answers: { 200: { description: 'An OpenAPI document.', schema: openApi } },
    },
    async () => document(),
  );
}

async function listen(app: FastifyInstance, host: string, port: number): Promise<void> {
  try {
    await app.listen({ host, port, backlog: listenBacklog });
  } catch (cause) {
    throw new FusionError(Status.UNAVAILABLE, `address: cannot serve HTTP on ${host}:${port}: ${reasonOf(cause)}`, {
      reason: 'ADDRESS_UNAVAILABLE',
      field: 'address',
      cause,
    });
  }
}

function requireHostPort(address: string): HostPort {
  const parsed = parseHostPort(address);
  if (!parsed) {
    throw invalidField('address', address, 'host:port');
  }
  return parsed;
}
