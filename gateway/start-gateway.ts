import { longCallSeconds } from '../services/kit/channel.ts';
import type { Logger } from '../services/kit/log.ts';
import { openScope } from '../services/kit/scope.ts';
import { type RunningServer, serve } from '../services/kit/serve.ts';
import type { ClientTls, ServerTls } from '../services/kit/tls.ts';
import { within } from '../services/kit/within.ts';
import type { Preset } from '../services/pipeline/preset.ts';
import { type RunningHttp, startHttp } from './api/http/start-http.ts';
import { isAmong, parseProxies } from './api/http/trusted-proxies.ts';
import { toVideoObject } from './api/http/video-object.ts';
import { maxRequestBytes } from './api/max-request-bytes.ts';
import { videoService } from './api/video-service.ts';
import type { GatewayData } from './gateway-data.ts';
import { VideoJobs } from './jobs/video-jobs.ts';
import { ApiKeys } from './keys/api-keys.ts';
import { anonymous } from './keys/caller.ts';
import { CallsOfKeys } from './keys/calls-of-keys.ts';
import { requireLoopback } from './keys/require-loopback.ts';
import { connectStages, type StageAddresses } from './stages/connect-stages.ts';
import { parseKeys, WebhookSecrets } from './webhooks/webhook-secrets.ts';
import { WebhookSender } from './webhooks/webhook-sender.ts';

export interface GatewayOptions {
  /** Where to serve, see `serve()`. */
  address: string;
  /** Where to serve HTTP and the page, `host:port`. Default: nowhere. */
  httpAddress?: string;
  /** The preset that the stages serve as well. */
  preset: Preset;
  stageAddresses: StageAddresses;
  /** For callers. Default: no TLS. */
  serverTls?: ServerTls | undefined;
  /** For the stages. Default: no TLS. */
  stageTls?: ClientTls | undefined;
  log: Logger;
  /** Told to the caller with every job. */
  warnings: readonly string[];
  /** Any number of gateways may share it, and then share the work. Stays open after `stop`. */
  data: Pick<GatewayData, 'database' | 'objects'>;
  /** Jobs worked on at once. */
  concurrentJobs: number;
  /** Jobs that may wait; one more is RESOURCE_EXHAUSTED. */
  maxQueuedJobs: number;
  /** Finished videos kept of each key, and as many of its jobs that ended without one. */
  maxFinishedJobs: number;
  /** How long they are kept, hours. */
  keepFinishedHours: number;
  /** How often a stage is begun while it or what it needs is away. */
  stageAttempts: number;
  /** Seconds a stage may go without progress before it is restarted once; after that its job fails. */
  progressTimeoutSeconds: number;
  /** Calls under way at once at each of gRPC and HTTP, watches included. */
  maxConcurrentCalls: number;
  /** Of those, calls of one key. */
  maxCallsPerKey: number;
  /** Connections of one address at each of gRPC and HTTP. */
  maxConnectionsPerAddress: number;
  /** What webhook secrets are encrypted with, see `parseKeys()`. Default: a key in the storage. */
  webhookKeys?: string;
  /** on: webhooks may call this machine and its link. */
  localWebhooks: 'on' | 'off';
  /** Proxies whose word about the host is taken. Default: none. */
  trustedProxies?: string;
  /** How long jobs and calls may go on after `stop`, seconds. */
  drainSeconds: number;
  /** Ends a start that is under way. */
  signal?: AbortSignal;
}

export interface RunningGateway extends RunningServer {
  /** Where HTTP and the page are, if anywhere. */
  httpAddress: string | undefined;
}

/** Connections beyond those that may be busy: browsers and pools keep some for later. */
const spareConnections = 1024;

/** Watchers get this long to hear how their jobs ended, seconds. */
const watchersDrainSeconds = 2;
/** Time limit after the drain, seconds: longer than a statement takes to fail when the database has fallen silent. */
const stopSeconds = 12;

/**
 * Starts a gateway: it works on the jobs of its database and serves `VideoService` over gRPC, and HTTP with the page. Its
 * `stop` takes no further calls, gives the jobs under way `drainSeconds` to end and gives the others back, for another
 * gateway or the next start; it throws DEADLINE_EXCEEDED 12 s later if something hangs. Throws FAILED_PRECONDITION for an
 * address that other machines may reach while there are no API keys.
 */
export function startGateway(options: GatewayOptions): Promise<RunningGateway> {
  const { preset, log, warnings, data, drainSeconds, httpAddress } = options;
  return openScope(options.signal, async (scope) => {
    const keys = new ApiKeys(data.database.sql);
    await keys.follow();
    if (!(await keys.any())) {
      requireLoopback('address', options.address);
      if (httpAddress !== undefined) {
        requireLoopback('FUSIONFRAMES_HTTP_ADDRESS', httpAddress);
      }
      log.info({ notice: true }, 'no API keys: only this machine can connect, and anyone on it has full access');
    }
    const { stages } = scope.add(
      connectStages(options.stageAddresses, options.progressTimeoutSeconds, options.stageTls),
    );
    const secrets = new WebhookSecrets({
      keys: parseKeys(options.webhookKeys ?? '') ?? [],
      sql: data.database.sql,
      objects: data.objects,
    });
    const jobs = await VideoJobs.start({
      sealWebhook: (webhook) => secrets.seal(webhook),
      sql: data.database.sql,
      objects: data.objects,
      concurrentJobs: options.concurrentJobs,
      maxQueuedJobs: options.maxQueuedJobs,
      keepCount: options.maxFinishedJobs,
      keepSeconds: options.keepFinishedHours * 3600,
      stageAttempts: options.stageAttempts,
      preset,
      stages,
      log,
    });
    const newJobs = { preset, warnings, localWebhooks: options.localWebhooks === 'on' };
    const webhooks = new WebhookSender({
      sql: data.database.sql,
      getJob: (id) => jobs.get(id, anonymous),
      secrets,
      describeJob: (job) => toVideoObject(job, preset),
      log,
      allowLocal: newJobs.localWebhooks,
    });
    let server: RunningServer | undefined;
    let http: RunningHttp | undefined;
    const endWork = async () => {
      // A gateway that never served has begun nothing worth waiting for.
      await jobs.stop(server ? drainSeconds : 0);
      await webhooks.stop();
    };
    // At once, so that jobs, their watchers and other calls share one drain.
    scope.defer(() => Promise.all([server?.stop(), http?.stop(), endWork()]));
    await webhooks.start();

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
      http = await startHttp({
        ...shared,
        address: httpAddress,
        jobs,
        keys,
        calls,
        data,
        stageAddresses: options.stageAddresses,
        stageTls: options.stageTls,
        newJobs,
        trustedProxies,
      });
    }
    scope.signal.throwIfAborted();
    server = await serve({
      ...shared,
      address: options.address,
      services: [videoService({ jobs, keys, calls, newJobs })],
      maxRequestBytes,
      ...(options.serverTls && { tls: options.serverTls }),
      callTimeoutSeconds: longCallSeconds,
    });
    return {
      ...server,
      httpAddress: http?.address,
      stop: () => within(drainSeconds + stopSeconds, 'The gateway did not stop', scope.close()),
    };
  });
}
