import { commonSettings } from '../services/kit/common-settings.ts';
import {
  checkedText,
  decimal,
  hostPort,
  integer,
  oneOf,
  type Setting,
  serverAddress,
  text,
} from '../services/kit/settings.ts';
import { addressVariable, forEachStage, stages } from '../services/pipeline/stages.ts';
import { parseProxies } from './api/http/trusted-proxies.ts';
import { databaseUrlFault } from './database/database-url.ts';
import { parseKey } from './keys/api-key.ts';
import { moderationSettings } from './moderation/moderation-settings.ts';
import { provenanceSettings } from './provenance/provenance-settings.ts';
import { storageFault } from './storage/storage-location.ts';
import { parseKeys } from './webhooks/webhook-secrets.ts';

const gatewayNamePattern = /^[\w.:-]{0,80}$/;

/** Environment variables of the gateway's process; also the defaults of a gateway inside another process. */
export const gatewaySettings = {
  ...commonSettings,
  httpAddress: {
    name: 'FUSIONFRAMES_HTTP_ADDRESS',
    description: 'host:port that serves HTTP and the page; off: not served',
    schema: hostPort('127.0.0.1:8080', 'off').transform((address) => (address === 'off' ? undefined : address)),
  },
  gatewayName: {
    name: 'FUSIONFRAMES_GATEWAY_NAME',
    description: 'Name shown to operators; must be unique per database and survive restarts; empty: host name and port',
    schema: text('').refine(
      (name) => gatewayNamePattern.test(name),
      'must be at most 80 letters, digits, `.`, `:`, `_` or `-`',
    ),
  },
  dataFolder: {
    name: 'FUSIONFRAMES_DATA_FOLDER',
    description: 'Folder for jobs and videos; empty: a temporary one, removed when the process ends',
    schema: text(''),
  },
  databaseUrl: {
    name: 'DATABASE_URL',
    description: 'PostgreSQL 14 or newer (`postgres://…`); empty: an embedded one in the data folder',
    schema: checkedText('', databaseUrlFault),
    isSecret: true,
  },
  storage: {
    name: 'FUSIONFRAMES_STORAGE',
    description: 'Storage of job files: a folder, or `s3://bucket/prefix`; empty: the data folder',
    schema: checkedText('', storageFault),
  },
  sizes: {
    name: 'FUSIONFRAMES_SIZES',
    description:
      'Sizes that requests may ask for. any: all that the preset allows; compiled: those with TensorRT engines (frameSize.compiled), which also take only as many given keyframes as the model makes itself',
    schema: oneOf(['any', 'compiled'], 'any'),
  },
  concurrentJobs: {
    name: 'FUSIONFRAMES_CONCURRENT_JOBS',
    description:
      'Jobs of one model run at once; up to twice as many after adopting those of a dead gateway. Their steps are batched',
    schema: integer(2, 1, 10_000),
  },
  maxQueuedJobs: {
    name: 'FUSIONFRAMES_MAX_QUEUED_JOBS',
    description: 'Queued jobs; further ones are rejected with RESOURCE_EXHAUSTED',
    schema: integer(1000, 1, 1_000_000),
  },
  maxFinishedJobs: {
    name: 'FUSIONFRAMES_MAX_FINISHED_JOBS',
    description:
      'Finished videos kept per API key, and as many failed or cancelled jobs; beyond that the oldest expire within a minute',
    schema: integer(1000, 1, 1_000_000),
  },
  keepFinishedHours: {
    name: 'FUSIONFRAMES_KEEP_FINISHED_HOURS',
    description: 'How long a finished job and its files are kept, hours',
    schema: decimal(168, 0.001, 876_000),
  },
  keepResultsHours: {
    name: 'FUSIONFRAMES_KEEP_RESULTS_HOURS',
    description:
      'How long keyframes and interpolated frames of a finished video are kept for others of the same key with the same content, after their last use, hours; at most as long as the video; 0: not at all',
    schema: decimal(24, 0, 876_000),
  },
  keepResultsBytes: {
    name: 'FUSIONFRAMES_KEEP_RESULTS_BYTES',
    description: 'Size of all such results, bytes; beyond it, those used least recently are removed',
    schema: integer(10 * 2 ** 30, 0, 2 ** 50),
  },
  stageAttempts: {
    name: 'FUSIONFRAMES_STAGE_ATTEMPTS',
    description: 'Attempts of a stage while it, its backend or the storage is unavailable; then its job fails',
    schema: integer(40, 1, 1000),
  },
  checkpointSeconds: {
    name: 'FUSIONFRAMES_CHECKPOINT_SECONDS',
    description:
      'Time in a stage after which its denoising is recorded, so that a crash loses no more than that, seconds; 0: only finished stages are recorded',
    schema: decimal(10, 0, 3600),
  },
  preemptSeconds: {
    name: 'FUSIONFRAMES_PREEMPT_SECONDS',
    description:
      'A running job is paused at its next recorded step if a queued one with a higher priority, or of a key with less than its share, would otherwise wait at least this long, seconds; 0: never; see operations.md',
    schema: decimal(0, 0, 86_400),
  },
  progressTimeoutSeconds: {
    name: 'FUSIONFRAMES_PROGRESS_TIMEOUT_SECONDS',
    description:
      'How long a stage may make no progress before it is restarted once, and then its job fails; also how long a job waits for a replica of a stage, seconds',
    // Longer than the stages' own bound on one inference request, whose error says more.
    schema: decimal(600, 0.1, 86_400),
  },
  webhookKeys: {
    name: 'FUSIONFRAMES_WEBHOOK_KEYS',
    description:
      'Keys that encrypt webhook secrets in the database, separated by commas: the first encrypts, all decrypt; the same for all gateways; empty: a key kept in the storage',
    schema: text('').refine((list) => parseKeys(list), 'must be keys of at least 32 characters'),
    isSecret: true,
  },
  firstKey: {
    name: 'FUSIONFRAMES_FIRST_API_KEY',
    description:
      'API key to create at startup, with the scopes read, create and admin, if there has never been one; `keys generate` prints one',
    schema: text('').refine(
      (key) => key === '' || parseKey(key) !== undefined,
      'must be an API key as `keys generate` prints it',
    ),
    isSecret: true,
  },
  ...moderationSettings,
  ...provenanceSettings,
  localWebhooks: {
    name: 'FUSIONFRAMES_LOCAL_WEBHOOKS',
    description: 'on: webhooks may also call this machine and link-local addresses',
    schema: oneOf(['on', 'off'], 'off'),
  },
  trustedProxies: {
    name: 'FUSIONFRAMES_TRUSTED_PROXIES',
    description:
      'Reverse proxies whose `Forwarded` and `X-Forwarded-*` headers are trusted: addresses and networks (CIDR), separated by commas; see reverse-proxy.md',
    schema: text('').refine((list) => parseProxies(list), 'must be IP addresses or networks such as 10.0.0.0/8'),
  },
  maxConcurrentCalls: {
    name: 'FUSIONFRAMES_MAX_GATEWAY_CALLS',
    description:
      'Concurrent calls over gRPC and HTTP, including watches but not probes; further ones are rejected with RESOURCE_EXHAUSTED',
    schema: integer(1024, 1, 100_000),
  },
  maxCallsPerKey: {
    name: 'FUSIONFRAMES_MAX_CALLS_PER_KEY',
    description: 'The same for the calls of one API key',
    schema: integer(256, 1, 100_000),
  },
  maxConnectionsPerAddress: {
    name: 'FUSIONFRAMES_MAX_CONNECTIONS_PER_ADDRESS',
    description:
      'Connections from one address, over gRPC and HTTP; a further one closes the oldest idle one. In all, 1024 more connections than calls are accepted',
    schema: integer(1024, 1, 100_000),
  },
} satisfies Record<string, Setting<unknown>>;

/** Where the gateway finds the stages of several models. */
export const routesSettings = {
  routesFile: {
    name: 'FUSIONFRAMES_ROUTES',
    description:
      'File of routes (JSON), for several models or versions behind one gateway, see operations.md; empty: the one preset and the stage addresses of the other settings',
    schema: text(''),
  },
} satisfies Record<string, Setting<unknown>>;

/** Addresses at which the gateway calls the stages, unless it has a file of routes. */
export const stageAddressSettings = forEachStage((name) => ({
  name: addressVariable(name),
  description: `Address of the ${stages[name].label} stage`,
  schema: serverAddress(`127.0.0.1:${stages[name].port}`),
}));
