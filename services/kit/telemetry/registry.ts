/**
 * Every attribute and span that this project emits (`metric-registry.ts` lists the metrics); types and a test against a real
 * receiver enforce it. Names that start with `rpc.`, `http.`, `url.`, `server.` or `error.` follow OpenTelemetry's conventions
 * (version 1.45), all others are this project's own.
 */

/** Attributes of spans and measurements. */
export const attributes = {
  'rpc.system.name': 'Always grpc',
  'rpc.method': 'Fully qualified method: package.Service/Method',
  'rpc.response.status_code': "Name of the call's gRPC status code, such as OK or UNAVAILABLE",
  'error.type':
    'gRPC status code of the error, or the HTTP status from 500 on; absent on success and for cancelled calls',
  'http.request.method': 'Method of the HTTP request',
  'http.response.status_code': 'Status of the HTTP response',
  'http.route': 'Path of the route, with parameter names in place of values',
  'url.scheme': 'http or https',
  'server.address': 'Host, socket path or list of hosts that the client was given',
  'server.port': 'Port that the client was given',
  'fusionframes.admission':
    'admitted or refused (the call exceeds a limit of the server, or its caller is not authorized)',
  'fusionframes.backend.seconds':
    "The requests' share, by items, of their batches' run times, seconds; absent if the inference server does not report it",
  'fusionframes.batch.size': 'Items in the batch that the request was part of',
  'fusionframes.cache': 'Which cache: text-encoding',
  'fusionframes.cache.result': 'hit, miss, or shared (joined a concurrent request)',
  'fusionframes.inference.transport': 'How the tensors were sent: shared-memory or message',
  'fusionframes.certificate.use': 'What the certificate is for: connections or signatures (of videos)',
  'fusionframes.deadline.fate': 'refused (it could not be met), missed-queued or missed-running',
  'fusionframes.file.bytes': 'Size of the file, bytes',
  'fusionframes.file.name': 'Name of the file within its job',
  'fusionframes.job.attempt': 'Number of the attempt, from 1',
  'fusionframes.job.id': "The job's id",
  'fusionframes.job.model': 'Model that makes the video, with its version if there are several: nano or nano@2',
  'fusionframes.job.outcome':
    'succeeded, failed, given-back (for another attempt, or because the gateway stops), paused (for another job) or lost (cancelled or taken over)',
  'fusionframes.job.state': 'queued, running, or paused (queued again to make room for another job)',
  'fusionframes.key': 'Id of an API key; none: jobs without a key; other: the 101st and further keys of a gateway',
  'fusionframes.model': 'Name of the model in the repository',
  'fusionframes.moderation.check': 'What was moderated: prompt or frames',
  'fusionframes.moderation.verdict': 'allow, refuse or failed (no valid answer)',
  'fusionframes.outcome': 'succeeded, failed or cancelled',
  'fusionframes.queue.wait': "Time the request spent in its model's queue, seconds",
  'fusionframes.stage': 'Name of the stage, such as keyframes',
  'fusionframes.step': 'Number of the denoising step, from 1',
  'fusionframes.step.wait': 'Time the step waited for those of other videos to share a batch, seconds',
} as const satisfies Record<string, string>;

export type AttributeName = keyof typeof attributes;

interface SpanEntry {
  kind: 'client' | 'server' | 'internal';
  description: string;
  attributes: readonly AttributeName[];
}

/** The two `rpc.*` spans are emitted under their `rpc.method`, `http.server` under method and route. */
export const spans = {
  'rpc.client': {
    kind: 'client',
    description: 'A call as the client sees it, with all its attempts',
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
      'A call as the server sees it; inference requests add how they were run, stages add their backend time',
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
    description: 'An HTTP request to the gateway, until its response has ended',
    attributes: ['http.request.method', 'http.route', 'http.response.status_code', 'url.scheme', 'error.type'],
  },
  'fusionframes.job': {
    kind: 'internal',
    description: 'An attempt at making a video, linked to the previous attempt',
    attributes: [
      'fusionframes.job.id',
      'fusionframes.job.model',
      'fusionframes.job.attempt',
      'fusionframes.job.outcome',
      'error.type',
    ],
  },
  'fusionframes.stage': {
    kind: 'internal',
    description:
      'A stage of a job: the call and the recording of its result; with the recorded step after which it continued',
    attributes: ['fusionframes.stage', 'fusionframes.step', 'error.type'],
  },
  'fusionframes.file.store': {
    kind: 'internal',
    description: 'The upload of a file of a job to the object store',
    attributes: ['fusionframes.file.name', 'fusionframes.file.bytes', 'error.type'],
  },
  'fusionframes.moderation': {
    kind: 'internal',
    description: 'A call to the moderation service, including the wait for a free call',
    attributes: ['fusionframes.moderation.check', 'fusionframes.moderation.verdict', 'error.type'],
  },
  'fusionframes.step': {
    kind: 'internal',
    description: 'A denoising step: the inference request, guidance and the sampler',
    attributes: [
      'fusionframes.stage',
      'fusionframes.step',
      'fusionframes.step.wait',
      'fusionframes.batch.size',
      'error.type',
    ],
  },
  'fusionframes.inference': {
    kind: 'internal',
    description: 'An inference request, with its wait for room and all its attempts',
    attributes: ['fusionframes.model', 'fusionframes.inference.transport', 'error.type'],
  },
} as const satisfies Record<string, SpanEntry>;

export type SpanName = keyof typeof spans;
