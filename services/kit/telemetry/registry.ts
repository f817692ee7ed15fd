/**
 * Every attribute, span and metric that this project emits. Nothing is emitted that is not listed here, which types and a
 * test against a real receiver hold the code to. Names with `rpc.`, `http.`, `url.`, `server.` and `error.` are
 * OpenTelemetry's conventions (version 1.45), all others are this project's own.
 */

/** What may be said about a span or a measurement. */
export const attributes = {
  'rpc.system.name': 'Always grpc',
  'rpc.method': 'Fully qualified method: package.Service/Method',
  'rpc.response.status_code': "Name of the call's gRPC status code, such as OK or UNAVAILABLE",
  'error.type':
    'Name of the gRPC status code of what went wrong; absent where nothing did. A cancelled call is no error. Of HTTP: the status, from 500 on',
  'http.request.method': 'Method of an HTTP request',
  'http.response.status_code': 'Status of the answer to an HTTP request',
  'http.route': 'Path of the route, with the names of its parameters',
  'url.scheme': 'http or https',
  'server.address': 'Host, socket path or list of hosts that the client was given',
  'server.port': 'Port that the client was given',
  'fusionframes.admission':
    'admitted or refused (the server has as many calls as it allows, or does not know the caller)',
  'fusionframes.backend.seconds':
    'Run time of the batches that the requests were in, their share by items; where the inference server tells it, seconds',
  'fusionframes.batch.size': 'Items of the batch that the request was run in',
  'fusionframes.cache': 'Which cache: text-encoding',
  'fusionframes.cache.result': 'hit, miss, or shared (what somebody else had just asked for)',
  'fusionframes.inference.transport': 'shared-memory or message: how the tensors travelled',
  'fusionframes.file.bytes': 'Bytes of a file',
  'fusionframes.file.name': 'Name of a file among those of its job',
  'fusionframes.job.attempt': 'How often the job was begun, this time included',
  'fusionframes.job.id': "The job's id",
  'fusionframes.job.outcome':
    'succeeded, failed, given-back (to be tried again, or because the gateway stops) or lost (cancelled or taken over)',
  'fusionframes.job.state': 'queued or running',
  'fusionframes.model': 'Name of a model in the repository',
  'fusionframes.outcome': 'succeeded, failed or cancelled',
  'fusionframes.queue.wait': 'Time that the request waited in the queue of its model, seconds',
  'fusionframes.stage': 'Name of a stage, such as keyframes',
  'fusionframes.step': 'Number of the denoising step, from 1',
} as const satisfies Record<string, string>;

export type AttributeName = keyof typeof attributes;

interface SpanEntry {
  kind: 'client' | 'server' | 'internal';
  description: string;
  attributes: readonly AttributeName[];
}

/** The two `rpc.*` spans are named by their `rpc.method`, `http.server` by method and route. */
export const spans = {
  'rpc.client': {
    kind: 'client',
    description: 'A call as its caller sees it, with all its attempts',
    attributes: [
      'rpc.system.name',
      'rpc.method',
      'rpc.response.status_code',
      'error.type',
      'server.address',
      'server.port',
      'fusionframes.job.id',
    ],
  },
  'rpc.server': {
    kind: 'server',
    description:
      'A call as its server sees it; of a request for inference also how it was run, of a stage what it cost',
    attributes: [
      'rpc.system.name',
      'rpc.method',
      'rpc.response.status_code',
      'error.type',
      'fusionframes.job.id',
      'fusionframes.model',
      'fusionframes.queue.wait',
      'fusionframes.batch.size',
      'fusionframes.backend.seconds',
    ],
  },
  'http.server': {
    kind: 'server',
    description: 'An HTTP request to the gateway, to the end of its answer',
    attributes: ['http.request.method', 'http.route', 'http.response.status_code', 'url.scheme', 'error.type'],
  },
  'fusionframes.job': {
    kind: 'internal',
    description: 'An attempt to make a video; linked to the attempt before it',
    attributes: ['fusionframes.job.id', 'fusionframes.job.attempt', 'fusionframes.job.outcome', 'error.type'],
  },
  'fusionframes.stage': {
    kind: 'internal',
    description: 'A stage of a job: its call and the recording of what it gave',
    attributes: ['fusionframes.stage', 'error.type'],
  },
  'fusionframes.file.store': {
    kind: 'internal',
    description: 'A file of a job on its way into the object store',
    attributes: ['fusionframes.file.name', 'fusionframes.file.bytes', 'error.type'],
  },
  'fusionframes.step': {
    kind: 'internal',
    description: 'A denoising step: the request for inference, guidance and the sampler',
    attributes: ['fusionframes.stage', 'fusionframes.step', 'error.type'],
  },
  'fusionframes.inference': {
    kind: 'internal',
    description: 'A request for inference with its wait for room and all its attempts',
    attributes: ['fusionframes.model', 'fusionframes.inference.transport', 'error.type'],
  },
} as const satisfies Record<string, SpanEntry>;

export type SpanName = keyof typeof spans;

interface MetricEntry {
  kind: 'histogram' | 'counter' | 'upDownCounter' | 'gauge';
  unit: string;
  description: string;
  attributes: readonly AttributeName[];
  /** Upper bounds of a histogram's buckets, in its unit. */
  buckets?: readonly number[];
}

/** The conventions' bounds, then what videos on slow machines need, seconds. */
const callSeconds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 300, 1800];
const stepSeconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
const waitSeconds = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800];
const jobSeconds = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14400];
const tensorBytes = [2 ** 10, 2 ** 12, 2 ** 14, 2 ** 16, 2 ** 18, 2 ** 20, 2 ** 22, 2 ** 24, 2 ** 26, 2 ** 28];
const batchItems = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64];

export const metrics = {
  'rpc.client.call.duration': {
    kind: 'histogram',
    unit: 's',
    description: 'Duration of calls as their callers see them',
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
    description: 'Duration of calls as their servers see them',
    attributes: ['rpc.system.name', 'rpc.method', 'rpc.response.status_code', 'error.type'],
    buckets: callSeconds,
  },
  'http.server.request.duration': {
    kind: 'histogram',
    unit: 's',
    description: 'Duration of HTTP requests to the gateway, to the end of their answers',
    attributes: ['http.request.method', 'http.route', 'http.response.status_code', 'url.scheme', 'error.type'],
    buckets: callSeconds,
  },
  'fusionframes.calls': {
    kind: 'counter',
    unit: '{call}',
    description: 'Calls that came to a server, admitted or refused',
    attributes: ['rpc.method', 'fusionframes.admission'],
  },
  'fusionframes.calls.active': {
    kind: 'upDownCounter',
    unit: '{call}',
    description: 'Calls under way in a server',
    attributes: ['rpc.method'],
  },
  'fusionframes.connections.closed': {
    kind: 'counter',
    unit: '{connection}',
    description: 'Connections that a server closed since it had too many, in all or of one address',
    attributes: [],
  },
  'fusionframes.retries': {
    kind: 'counter',
    unit: '{attempt}',
    description: 'Repeated attempts, of calls by method, of jobs by stage, and why the one before failed',
    attributes: ['rpc.method', 'fusionframes.stage', 'rpc.response.status_code'],
  },
  'fusionframes.certificate.expiry': {
    kind: 'gauge',
    unit: 's',
    description: 'When the first of the certificates in use ends, since 1970',
    attributes: [],
  },
  'fusionframes.jobs': {
    kind: 'gauge',
    unit: '{job}',
    description: 'Jobs that wait or run, of all gateways: each tells the same',
    attributes: ['fusionframes.job.state'],
  },
  'fusionframes.jobs.ended': {
    kind: 'counter',
    unit: '{job}',
    description: 'Jobs that have ended; of the failed ones also why and in which stage',
    attributes: ['fusionframes.outcome', 'error.type', 'fusionframes.stage'],
  },
  'fusionframes.job.duration': {
    kind: 'histogram',
    unit: 's',
    description: 'Time from the creation of a job to its end',
    attributes: ['fusionframes.outcome'],
    buckets: jobSeconds,
  },
  'fusionframes.job.queue.wait': {
    kind: 'histogram',
    unit: 's',
    description: 'Time from the creation of a job to its first beginning',
    attributes: [],
    buckets: jobSeconds,
  },
  'fusionframes.job.preview.wait': {
    kind: 'histogram',
    unit: 's',
    description: 'Time from the creation of a job to the preview of its keyframes',
    attributes: [],
    buckets: jobSeconds,
  },
  'fusionframes.stage.duration': {
    kind: 'histogram',
    unit: 's',
    description: 'Duration of the stages of jobs, with the recording of what they gave',
    attributes: ['fusionframes.stage', 'fusionframes.outcome'],
    buckets: jobSeconds,
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
    description: "Time of the backend that a stage's call for a video took: its share, by items, of its batches' runs",
    attributes: ['fusionframes.stage'],
    buckets: jobSeconds,
  },
  'fusionframes.handoff.size': {
    kind: 'histogram',
    unit: 'By',
    description: 'Bytes of the tensors that a stage hands over',
    attributes: ['fusionframes.stage'],
    buckets: tensorBytes,
  },
  'fusionframes.predictions.not_finite': {
    kind: 'counter',
    unit: '{output}',
    description:
      'Outputs of networks with a NaN or an infinity in them: of the text encoder they become zeros and a warning, of any other stage they fail the job',
    attributes: ['fusionframes.stage'],
  },
  'fusionframes.cache.requests': {
    kind: 'counter',
    unit: '{request}',
    description: 'What was asked of a cache, by whether it was there',
    attributes: ['fusionframes.cache', 'fusionframes.cache.result'],
  },
  'fusionframes.inference.duration': {
    kind: 'histogram',
    unit: 's',
    description: 'Duration of requests for inference as stages see them, waits and attempts included',
    attributes: ['fusionframes.model', 'fusionframes.outcome'],
    buckets: stepSeconds,
  },
  'fusionframes.inference.request.size': {
    kind: 'histogram',
    unit: 'By',
    description: 'Bytes of tensors in the messages of requests for inference',
    attributes: ['fusionframes.model'],
    buckets: tensorBytes,
  },
  'fusionframes.inference.bytes_in_flight': {
    kind: 'upDownCounter',
    unit: 'By',
    description: 'Bytes of tensors in the requests for inference under way',
    attributes: [],
  },
  'fusionframes.inference.room.wait': {
    kind: 'histogram',
    unit: 's',
    description: 'Wait of requests for inference until the bound on bytes under way had room for them',
    attributes: [],
    buckets: waitSeconds,
  },
  'fusionframes.queue.depth': {
    kind: 'upDownCounter',
    unit: '{request}',
    description: 'Requests that wait in the queue of a model',
    attributes: ['fusionframes.model'],
  },
  'fusionframes.queue.wait': {
    kind: 'histogram',
    unit: 's',
    description: 'Wait of requests in the queue of a model',
    attributes: ['fusionframes.model'],
    buckets: waitSeconds,
  },
  'fusionframes.batch.size': {
    kind: 'histogram',
    unit: '{item}',
    description: 'Items that a run of a model took together',
    attributes: ['fusionframes.model'],
    buckets: batchItems,
  },
  'fusionframes.compute.duration': {
    kind: 'histogram',
    unit: 's',
    description: 'Duration of runs of a model alone; its sum is the time for which the backend was paid',
    attributes: ['fusionframes.model'],
    buckets: stepSeconds,
  },
  'fusionframes.instances': {
    kind: 'upDownCounter',
    unit: '{instance}',
    description: 'Copies of a model that are loaded',
    attributes: ['fusionframes.model'],
  },
  'fusionframes.instances.busy': {
    kind: 'upDownCounter',
    unit: '{instance}',
    description: 'Copies of a model at work; over those loaded it is how saturated the backend is',
    attributes: ['fusionframes.model'],
  },
} as const satisfies Record<string, MetricEntry>;

export type MetricName = keyof typeof metrics;
