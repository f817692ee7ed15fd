import { longCallSeconds } from '../services/kit/channel.ts';
import type { Logger } from '../services/kit/log.ts';
import { openScope } from '../services/kit/scope.ts';
import { type RunningServer, serve } from '../services/kit/serve.ts';
import { observe } from '../services/kit/telemetry/metrics.ts';
import type { ClientTls, ServerTls } from '../services/kit/tls.ts';
import { within } from '../services/kit/within.ts';
import type { RunningHttp } from './api/http/start-http.ts';
import { isAmong, parseProxies } from './api/http/trusted-proxies.ts';
import { toVideoObject } from './api/http/video-object.ts';
import { maxMessageBytes } from './api/max-request-bytes.ts';
import { openReadiness } from './api/readiness.ts';
import { videoService } from './api/video-service.ts';
import type { GatewayData } from './gateway-data.ts';
import { usualGatewayName } from './jobs/replica.ts';
import { VideoJobs } from './jobs/video-jobs.ts';
import { ApiKeys } from './keys/api-keys.ts';
import { anonymous } from './keys/caller.ts';
import { CallsOfKeys } from './keys/calls-of-keys.ts';
import { requireLocalGateway } from './keys/require-loopback.ts';
import { routeId } from './models/model-route.ts';
import { Models, type Routes } from './models/models.ts';
import type { RouteChanges } from './models/routes-file.ts';
import { openModeration } from './moderation/moderation.ts';
import type { ModerationOptions } from './moderation/moderation-settings.ts';
import { Operator } from './operator/operator.ts';
import type { VideoProvenance } from './provenance/open-provenance.ts';
import { StagesOfRoutes } from './stages/stages-of-routes.ts';
import { parseKeys, WebhookSecrets } from './webhooks/webhook-secrets.ts';
import { WebhookSender } from './webhooks/webhook-sender.ts';

export interface GatewayOptions extends ModerationOptions {
  /** Address to serve at, see `serve()`. */
  address: string;
  /** Its name among the gateways on the database, the same after a restart. Default: host name and port. */
  gatewayName?: string;
  /** Address of HTTP and the page, `host:port`. Default: none. */
  httpAddress?: string;
  /** The models and the stages that serve them; the first is the default. */
  routes: Routes;
  /** Changes of the routes while the gateway runs, which closes it. Default: there are none. */
  routeChanges?: RouteChanges | undefined;
  /** For callers. Default: no TLS. */
  serverTls?: ServerTls | undefined;
  /** For the stages. Default: no TLS. */
  stageTls?: ClientTls | undefined;
  log: Logger;
  /** Default: videos are neither labelled nor signed. */
  provenance?: VideoProvenance;
  /** Any number of gateways may share it and its jobs. Stays open after `stop`. */
  data: Pick<GatewayData, 'database' | 'objects'>;
  /** Maximum number of running jobs. */
  concurrentJobs: number;
  /** Maximum number of queued jobs; beyond it, RESOURCE_EXHAUSTED. */
  maxQueuedJobs: number;
  /** Finished videos kept per key, and as many jobs that ended without one. */
  maxFinishedJobs: number;
  /** How long they are kept, hours. */
  keepFinishedHours: number;
  /** How long stage results are kept for other videos after their last use, hours; 0: not at all. */
  keepResultsHours: number;
  /** Size of all of them, bytes. */
  keepResultsBytes: number;
  /** How often a stage is started while it or a dependency is unavailable. */
  stageAttempts: number;
  /** Time in a stage between two checkpoints, seconds; 0: none. */
  checkpointSeconds: number;
  /** Wait of a queued job for which a running one is paused, seconds; 0: none is. */
  preemptSeconds: number;
  /** Seconds a stage may go without progress before it is restarted once; after that its job fails. */
  progressTimeoutSeconds: number;
  /** Maximum concurrent calls of gRPC and of HTTP each, including watches. */
  maxConcurrentCalls: number;
  /** Of those, the maximum per key. */
  maxCallsPerKey: number;
  /** Maximum connections per address, of gRPC and of HTTP each. */
  maxConnectionsPerAddress: number;
  /** Encryption keys of webhook secrets, see `parseKeys()`. Default: a key in the storage. */
  webhookKeys?: string;
  /** An API key to create if there has never been one, as `keys generate` prints it. Default: none. */
  firstKey?: string;
  /** `on` lets webhooks call this machine and link-local addresses. */
  localWebhooks: 'on' | 'off';
  /** Proxies whose forwarding headers are trusted. Default: none. */
  trustedProxies?: string;
  /** How long jobs and calls may continue after `stop`, in seconds. */
  drainSeconds: number;
  /** Aborts a start in progress. */
  signal?: AbortSignal;
}

export interface RunningGateway extends RunningServer {
  /** Address of HTTP and the page, if served. */
  httpAddress: string | undefined;
}

/** Connections beyond the busy ones: browsers and pools keep some open. */
const spareConnections = 1024;

/** Time for watchers to receive the end of their jobs, in seconds. */
const watchersDrainSeconds = 2;
/** Time limit after the drain, in seconds: longer than a statement takes to fail on a silent database. */
const stopSeconds = 12;

/**
 * Starts a gateway, which works on the jobs in its database and serves `VideoService` over gRPC, and HTTP with the
 * page. To stop, it accepts no further calls, gives running jobs `drainSeconds` to finish and releases the others to
 * another gateway or the next start; it throws DEADLINE_EXCEEDED 12 s later if something hangs. Throws
 * FAILED_PRECONDITION for an address that other machines can reach while there are no API keys.
 */
export function startGateway(options: GatewayOptions): Promise<RunningGateway> {
  const { routes, log, data, drainSeconds, httpAddress } = options;
  const models = new Models(routes);
  return openScope(options.signal, async (scope) => {
    const keys = new ApiKeys(data.database.sql);
    await keys.follow();
    const firstKey = options.firstKey ? await keys.createFirst(options.firstKey) : undefined;
    if (firstKey) {
      log.info({ notice: true, key: firstKey.id }, 'created the first API key, from FUSIONFRAMES_FIRST_API_KEY');
    }
    if (!(await keys.any())) {
      requireLocalGateway(options);
      log.info({ notice: true }, 'no API keys: only this machine can connect, and anyone on it has full access');
    }
    const stages = scope.add(new StagesOfRoutes(options.progressTimeoutSeconds, options.stageTls));
    const readiness = scope.add(openReadiness(data, models, options.stageTls));
    const secrets = new WebhookSecrets({
      keys: parseKeys(options.webhookKeys ?? '') ?? [],
      sql: data.database.sql,
      objects: data.objects,
    });
    const jobs = await VideoJobs.start({
      name: options.gatewayName || usualGatewayName(options.address),
      sealWebhook: (webhook) => secrets.seal(webhook),
      sql: data.database.sql,
      objects: data.objects,
      concurrentJobs: options.concurrentJobs,
      maxQueuedJobs: options.maxQueuedJobs,
      keepCount: options.maxFinishedJobs,
      keepSeconds: options.keepFinishedHours * 3600,
      keepResultsSeconds: options.keepResultsHours * 3600,
      keepResultsBytes: options.keepResultsBytes,
      stageAttempts: options.stageAttempts,
      checkpointSeconds: options.checkpointSeconds,
      preemptSeconds: options.preemptSeconds,
      moderation: openModeration(options, log),
      watermark: options.provenance?.watermark,
      signer: options.provenance?.signer,
      models,
      useStages: (route) => stages.use(route.stageAddresses),
      routeSeconds: options.progressTimeoutSeconds,
      log,
    });
    scope.defer(options.provenance?.signer?.follow() ?? (() => {}));
    const newJobs = { models, localWebhooks: options.localWebhooks === 'on' };
    const webhooks = new WebhookSender({
      sql: data.database.sql,
      getJob: (id, revision) => (revision === null ? jobs.get(id, anonymous) : jobs.getAt(id, revision, anonymous)),
      secrets,
      describeJob: (job) => toVideoObject(job, models),
      log,
      allowLocal: newJobs.localWebhooks,
    });
    let server: RunningServer | undefined;
    let http: RunningHttp | undefined;
    const endWork = async () => {
      // A gateway that never served has nothing to wait for.
      await jobs.stop(server ? drainSeconds : 0);
      await webhooks.stop();
    };
    // Concurrently, so that jobs, their watchers and other calls share one drain.
    scope.defer(() => Promise.all([server?.stop(), http?.stop(), endWork()]));
    await webhooks.start();
    const { routeChanges } = options;
    if (routeChanges) {
      followRoutes(scope.add(routeChanges), { models, stages, jobs, log });
    }
    scope.defer(
      observe('fusionframes.routes.invalid', async () => [
        { value: Number(routeChanges?.isInvalid ?? false), attributes: {} },
      ]),
    );

    const trustedProxies = parseProxies(options.trustedProxies ?? '');
    const calls = new CallsOfKeys(options.maxCallsPerKey, log);
    const shared = {
      log,
      maxConcurrentCalls: options.maxConcurrentCalls,
      connections: {
        total: options.maxConcurrentCalls + spareConnections,
        perAddress: options.maxConnectionsPerAddress,
        isProxy: (address: string) => isAmong(trustedProxies, address),
      },
      drainSeconds: drainSeconds + watchersDrainSeconds,
    };
    if (httpAddress !== undefined) {
      // Imported here, because `generate` starts a gateway without HTTP.
      const { startHttp } = await import('./api/http/start-http.ts');
      http = await startHttp({
        ...shared,
        address: httpAddress,
        jobs,
        keys,
        calls,
        readiness,
        newJobs,
        operator: new Operator({ sql: data.database.sql, jobs, keys, log }),
        trustedProxies,
      });
    }
    scope.signal.throwIfAborted();
    server = await serve({
      ...shared,
      address: options.address,
      services: [videoService({ jobs, keys, calls, newJobs, readiness })],
      maxRequestBytes: maxMessageBytes,
      ...(options.serverTls && { tls: options.serverTls }),
      callTimeoutSeconds: longCallSeconds,
    });
    return {
      ...server,
      isReady: () => server!.isReady() && jobs.mode !== 'draining',
      httpAddress: http?.address,
      stop: () => within(drainSeconds + stopSeconds, 'The gateway did not stop', scope.close()),
    };
  });
}

/** Uses the routes that come, from now on. */
function followRoutes(
  changes: RouteChanges,
  { models, stages, jobs, log }: { models: Models; stages: StagesOfRoutes; jobs: VideoJobs; log: Logger },
): void {
  changes.follow((routes) => {
    models.change(routes);
    void stages.change(routes.map(({ stageAddresses }) => stageAddresses));
    jobs.changeModels();
    log.info({ notice: true, routes: routes.map(routeId) }, 'the routes have changed');
  }, log);
}
