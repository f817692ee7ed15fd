import type { AttributeName } from './registry.ts';

interface MetricEntry {
  kind: 'histogram' | 'counter' | 'upDownCounter' | 'gauge';
  unit: string;
  description: string;
  attributes: readonly AttributeName[];
  /** Upper bounds of a histogram's buckets, in its unit. */
  buckets?: readonly number[];
}

/** The conventions' bounds, then those that videos on slow machines need, seconds. */
const callSeconds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 300, 1800];
const stepSeconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
const waitSeconds = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800];
const jobSeconds = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14400];
const tensorBytes = [2 ** 10, 2 ** 12, 2 ** 14, 2 ** 16, 2 ** 18, 2 ** 20, 2 ** 22, 2 ** 24, 2 ** 26, 2 ** 28];
const batchItems = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64];

/** Every metric that this project emits, by the conventions of `registry.ts`. */
export const metrics = {
  'rpc.client.call.duration': {
    kind: 'histogram',
    unit: 's',
    description: 'Duration of calls as clients see them',
    attributes: [
      'rpc.system.name',
      'rpc.method',
      'rpc.response.status_code',
      'error.type',
      'server.address',
      'server.port',
    ],
    buckets: callSeconds,
  },
  'rpc.server.call.duration': {
    kind: 'histogram',
    unit: 's',
    description: 'Duration of calls as servers see them',
    attributes: ['rpc.system.name', 'rpc.method', 'rpc.response.status_code', 'error.type'],
    buckets: callSeconds,
  },
  'http.server.request.duration': {
    kind: 'histogram',
    unit: 's',
    description: 'Duration of HTTP requests to the gateway, until their responses have ended',
    attributes: ['http.request.method', 'http.route', 'http.response.status_code', 'url.scheme', 'error.type'],
    buckets: callSeconds,
  },
  'fusionframes.calls': {
    kind: 'counter',
    unit: '{call}',
    description: 'Calls that reached a server, admitted or refused',
    attributes: ['rpc.method', 'fusionframes.admission'],
  },
  'fusionframes.calls.active': {
    kind: 'upDownCounter',
    unit: '{call}',
    description: 'Calls in progress on a server',
    attributes: ['rpc.method'],
  },
  'fusionframes.connections.closed': {
    kind: 'counter',
    unit: '{connection}',
    description: 'Connections that a server closed for exceeding its limit, in total or for one address',
    attributes: [],
  },
  'fusionframes.retries': {
    kind: 'counter',
    unit: '{attempt}',
    description:
      'Further attempts at calls (by method) and at jobs (by stage), with the status code of the previous failure',
    attributes: ['rpc.method', 'fusionframes.stage', 'rpc.response.status_code'],
  },
  'fusionframes.certificate.expiry': {
    kind: 'gauge',
    unit: 's',
    description: 'When the first of the certificates in use expires, seconds since 1970',
    attributes: ['fusionframes.certificate.use'],
  },
  'fusionframes.jobs': {
    kind: 'gauge',
    unit: '{job}',
    description: 'Queued, running and paused jobs across gateways; every gateway reports the total',
    attributes: ['fusionframes.job.state'],
  },
  'fusionframes.model.jobs': {
    kind: 'gauge',
    unit: '{job}',
    description: 'Queued and running jobs of a model; every gateway reports the total',
    attributes: ['fusionframes.job.model', 'fusionframes.job.state'],
  },
  'fusionframes.gateway.paused': {
    kind: 'gauge',
    unit: '1',
    description:
      'Whether this gateway is paused or drains, by an operator or because another has its name: 1 if so, else 0',
    attributes: [],
  },
  'fusionframes.routes.invalid': {
    kind: 'gauge',
    unit: '1',
    description: 'Whether the file of routes is invalid, so that earlier routes stay in use: 1 if so, else 0',
    attributes: [],
  },
  'fusionframes.jobs.ended': {
    kind: 'counter',
    unit: '{job}',
    description: 'Jobs that have ended; failed ones with their error and stage',
    attributes: ['fusionframes.outcome', 'error.type', 'fusionframes.stage', 'fusionframes.job.model'],
  },
  'fusionframes.pauses': {
    kind: 'counter',
    unit: '{pause}',
    description: 'Pauses of running jobs for queued ones',
    attributes: ['fusionframes.job.model'],
  },
  'fusionframes.deadlines': {
    kind: 'counter',
    unit: '{job}',
    description: 'Deadlines of jobs that were refused or missed',
    attributes: ['fusionframes.deadline.fate'],
  },
  'fusionframes.job.duration': {
    kind: 'histogram',
    unit: 's',
    description: 'Time from the creation of a job to its end',
    attributes: ['fusionframes.outcome', 'fusionframes.job.model'],
    buckets: jobSeconds,
  },
  'fusionframes.job.queue.wait': {
    kind: 'histogram',
    unit: 's',
    description: 'Time from the creation of a job to the start of its first attempt',
    attributes: ['fusionframes.job.model'],
    buckets: jobSeconds,
  },
  'fusionframes.job.preview.wait': {
    kind: 'histogram',
    unit: 's',
    description: 'Time from the creation of a job to the preview of its keyframes',
    attributes: [],
    buckets: jobSeconds,
  },
  'fusionframes.moderation.duration': {
    kind: 'histogram',
    unit: 's',
    description: 'Duration of calls to the moderation service, without the wait for a free one',
    attributes: ['fusionframes.moderation.check', 'fusionframes.moderation.verdict'],
    buckets: waitSeconds,
  },
  'fusionframes.key.jobs': {
    kind: 'counter',
    unit: '{job}',
    description: 'Jobs that have ended, by API key',
    attributes: ['fusionframes.key', 'fusionframes.outcome'],
  },
  'fusionframes.key.stage.time': {
    kind: 'counter',
    unit: 's',
    description: 'Time of ended jobs in the stages, by API key',
    attributes: ['fusionframes.key'],
  },
  'fusionframes.stage.duration': {
    kind: 'histogram',
    unit: 's',
    description: "Duration of jobs' stages, including the recording of their results",
    attributes: ['fusionframes.stage', 'fusionframes.outcome', 'fusionframes.job.model'],
    buckets: jobSeconds,
  },
  'fusionframes.results.reused': {
    kind: 'counter',
    unit: '{result}',
    description: 'Stages that did not run because another video had the same result',
    attributes: ['fusionframes.stage'],
  },
  'fusionframes.checkpoint.duration': {
    kind: 'histogram',
    unit: 's',
    description: 'Time to record a checkpoint of an unfinished stage, which goes on meanwhile',
    attributes: ['fusionframes.outcome'],
    buckets: stepSeconds,
  },
  'fusionframes.checkpoint.size': {
    kind: 'histogram',
    unit: 'By',
    description: 'Size of the recorded checkpoints',
    attributes: [],
    buckets: tensorBytes,
  },
  'fusionframes.step.duration': {
    kind: 'histogram',
    unit: 's',
    description: 'Duration of denoising steps',
    attributes: ['fusionframes.stage'],
    buckets: stepSeconds,
  },
  'fusionframes.backend.time': {
    kind: 'histogram',
    unit: 's',
    description: "Backend time of a stage for one video: its share, by items, of its batches' run times",
    attributes: ['fusionframes.stage'],
    buckets: jobSeconds,
  },
  'fusionframes.handoff.size': {
    kind: 'histogram',
    unit: 'By',
    description: 'Size of the tensors that a stage hands over',
    attributes: ['fusionframes.stage'],
    buckets: tensorBytes,
  },
  'fusionframes.predictions.not_finite': {
    kind: 'counter',
    unit: '{output}',
    description:
      'Network outputs with a NaN or an infinity; the text encoder replaces them with zeros and warns, in any other stage the job fails',
    attributes: ['fusionframes.stage'],
  },
  'fusionframes.cache.requests': {
    kind: 'counter',
    unit: '{request}',
    description: 'Look-ups in a cache, by result',
    attributes: ['fusionframes.cache', 'fusionframes.cache.result'],
  },
  'fusionframes.inference.duration': {
    kind: 'histogram',
    unit: 's',
    description: 'Duration of inference requests as stages see them, including waits and all attempts',
    attributes: ['fusionframes.model', 'fusionframes.outcome'],
    buckets: stepSeconds,
  },
  'fusionframes.inference.request.size': {
    kind: 'histogram',
    unit: 'By',
    description: 'Size of the tensors in the messages of inference requests',
    attributes: ['fusionframes.model'],
    buckets: tensorBytes,
  },
  'fusionframes.inference.bytes_in_flight': {
    kind: 'upDownCounter',
    unit: 'By',
    description: 'Size of the tensors in inference requests in progress',
    attributes: [],
  },
  'fusionframes.inference.room.wait': {
    kind: 'histogram',
    unit: 's',
    description: 'Time that inference requests waited for room under the limit of bytes in flight',
    attributes: [],
    buckets: waitSeconds,
  },
  'fusionframes.queue.depth': {
    kind: 'upDownCounter',
    unit: '{request}',
    description: "Requests in a model's queue",
    attributes: ['fusionframes.model'],
  },
  'fusionframes.queue.wait': {
    kind: 'histogram',
    unit: 's',
    description: "Time that requests spent in a model's queue",
    attributes: ['fusionframes.model'],
    buckets: waitSeconds,
  },
  'fusionframes.batch.size': {
    kind: 'histogram',
    unit: '{item}',
    description: 'Items in one run of a model',
    attributes: ['fusionframes.model'],
    buckets: batchItems,
  },
  'fusionframes.compute.duration': {
    kind: 'histogram',
    unit: 's',
    description: 'Duration of runs of a model, without waits; the sum is the time the backend was busy',
    attributes: ['fusionframes.model'],
    buckets: stepSeconds,
  },
  'fusionframes.instances': {
    kind: 'upDownCounter',
    unit: '{instance}',
    description: 'Loaded instances of a model',
    attributes: ['fusionframes.model'],
  },
  'fusionframes.instances.busy': {
    kind: 'upDownCounter',
    unit: '{instance}',
    description: 'Busy instances of a model; divided by the loaded instances, the saturation of the backend',
    attributes: ['fusionframes.model'],
  },
} as const satisfies Record<string, MetricEntry>;

export type MetricName = keyof typeof metrics;
