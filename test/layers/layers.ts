import { stageNames } from '../../services/pipeline/stages.ts';

const base = ['proto', 'services/kit', 'services/pipeline'];
const stage = [...base, 'services/diffusion', 'services/triton'];
const triton = ['proto/gen/grpc_service.ts', 'proto/gen/model_config.ts'];

/**
 * The project's layers: what each folder or file may import besides itself. A file belongs to the longest matching path; a
 * path covers everything below it except what longer paths cover. Tests may also import their neighbours and test code, and
 * nothing may import itself through others.
 */
export const layers: Readonly<Record<string, readonly string[]>> = {
  proto: [],
  'proto/gen/grpc_service.ts': ['proto', 'proto/gen/model_config.ts'],
  'proto/gen/model_config.ts': ['proto'],
  'proto/gen/onnx': ['proto'],
  'services/kit': ['proto'],
  'services/pipeline': ['proto', 'services/kit'],
  'services/diffusion': ['services/kit', 'services/pipeline'],
  'services/triton': [...base, ...triton],
  ...Object.fromEntries(stageNames.map((name) => [`services/${name}`, stage])),
  'services/media': [],
  'services/onnx': ['proto', 'proto/gen/onnx'],
  'services/inference': [...base, ...triton, 'services/onnx'],

  'gateway/data-folder.ts': ['services/kit'],
  'gateway/database': ['services/kit', 'gateway/data-folder.ts'],
  'gateway/storage': ['services/kit', 'gateway/data-folder.ts'],
  'gateway/gateway-data.ts': ['services/kit', 'gateway/data-folder.ts', 'gateway/database', 'gateway/storage'],
  'gateway/media': ['services/kit', 'services/media'],
  'gateway/stages': base,
  'gateway/client': base,
  'gateway/keys': ['services/kit', 'gateway/database'],
  'gateway/models': [...base, 'gateway/stages'],
  'gateway/moderation': ['services/kit', 'gateway/database', 'gateway/media'],
  'gateway/provenance': [...base, 'gateway/media'],
  'gateway/jobs': [
    ...base,
    ...rooms('gateway', 'database', 'keys', 'media', 'models', 'moderation', 'provenance', 'stages', 'storage'),
  ],
  'gateway/operator': [...base, ...rooms('gateway', 'database', 'jobs', 'keys')],
  'gateway/webhooks': [...base, ...rooms('gateway', 'database', 'jobs', 'storage')],
  'gateway/api': [
    ...base,
    ...rooms('gateway', 'gateway-data.ts', 'database', 'jobs', 'keys', 'models', 'operator', 'storage', 'webhooks'),
  ],
  gateway: [
    ...base,
    ...rooms(
      'gateway',
      'data-folder.ts',
      'gateway-data.ts',
      'api',
      'database',
      'jobs',
      'keys',
      'models',
      'media',
      'moderation',
      'operator',
      'provenance',
      'stages',
      'storage',
    ),
    'gateway/webhooks',
  ],

  'triton-models/world': base,
  'triton-models/sources': base,
  'triton-models/checkpoints': base,
  'triton-models/graphs': [...base, 'proto/gen/onnx', 'triton-models/checkpoints'],
  'triton-models/lora': [...base, 'triton-models/checkpoints'],
  'triton-models/networks': [...base, ...rooms('triton-models', 'checkpoints', 'graphs')],
  'triton-models/describe': [...base, 'proto/gen/onnx', ...rooms('triton-models', 'checkpoints', 'graphs', 'networks')],
  'triton-models/tensorrt': [
    ...base,
    'proto/gen/onnx',
    'proto/gen/model_config.ts',
    ...rooms('triton-models', 'checkpoints', 'describe', 'graphs', 'networks'),
  ],
  'triton-models/packaging': [
    ...base,
    'proto/gen/onnx',
    'proto/gen/model_config.ts',
    ...rooms(
      'triton-models',
      'checkpoints',
      'describe',
      'graphs',
      'lora',
      'networks',
      'references',
      'session',
      'sources',
      'tensorrt',
    ),
  ],
  'triton-models/session': [...base, 'services/inference'],
  'triton-models/references': [...base, 'services/diffusion', ...rooms('triton-models', 'checkpoints', 'graphs')],
  'triton-models/pull': [...base, ...rooms('triton-models', 'checkpoints', 'packaging', 'sources')],
  'triton-models/verify': [
    ...base,
    'proto/gen/onnx',
    'services/triton',
    ...rooms('triton-models', 'checkpoints', 'graphs', 'networks', 'packaging', 'references', 'session'),
  ],
  'triton-models/evaluation': [...base, 'triton-models/world'],
  'triton-models/metrics': [...base, 'services/media', 'triton-models/world'],

  // A build of its own, for browsers.
  'gateway/page': [],
  // Programs of users: they import the package by its name.
  examples: [],
};

/** These may import every other folder. */
export const anything = ['cli', 'test'];

/** What may further be imported by `import type`: it describes answers that these read. */
export const layerTypes: Readonly<Record<string, readonly string[]>> = {
  'gateway/client': [
    'gateway/api/http/admin/admin-objects.ts',
    'gateway/api/http/model-routes.ts',
    'gateway/api/http/usage-object.ts',
    'gateway/api/http/video-object.ts',
  ],
  'gateway/page': [
    'gateway/api/http/admin/admin-objects.ts',
    'gateway/api/http/presets.ts',
    'gateway/api/http/usage-object.ts',
    'gateway/api/http/video-object.ts',
  ],
};

const anywhere = [''];
const videoFiles = ['services/media', 'gateway/media', 'triton-models/metrics'];

/** Which folders and files may import each package; tests may import all. Every dependency has its line. */
export const packages: Readonly<Record<string, readonly string[]>> = {
  '@aws-sdk/client-s3': ['gateway/storage'],
  '@aws-sdk/lib-storage': ['gateway/storage'],
  '@bufbuild/protobuf': ['services/kit', 'services/inference', 'services/onnx'],
  '@contentauth/c2pa-node': ['gateway/provenance'],
  '@fastify/busboy': ['gateway/api'],
  '@grpc/grpc-js': ['services/kit'],
  '@huggingface/tokenizers': ['services/text-encoder', 'triton-models/metrics'],
  '@modelcontextprotocol/sdk': ['cli/mcp'],
  '@napi-rs/webcodecs': ['services/media', 'gateway/media'],
  '@opentelemetry/api': ['services/kit', 'gateway/api'],
  '@opentelemetry/context-async-hooks': ['services/kit/telemetry'],
  '@opentelemetry/core': ['services/kit/telemetry'],
  '@opentelemetry/exporter-metrics-otlp-grpc': ['services/kit/telemetry'],
  '@opentelemetry/exporter-prometheus': ['services/kit/telemetry'],
  '@opentelemetry/exporter-trace-otlp-grpc': ['services/kit/telemetry'],
  '@opentelemetry/resources': ['services/kit/telemetry'],
  '@opentelemetry/sdk-metrics': ['services/kit/telemetry'],
  '@opentelemetry/sdk-trace-base': ['services/kit/telemetry'],
  commander: ['cli'],
  fastify: ['gateway/api'],
  fusionframes: ['examples'],
  // Pinned: fastify would take a newer one, which needs a newer Node.
  'light-my-request': [],
  'lru-cache': anywhere,
  mediabunny: videoFiles,
  'ml-matrix': ['triton-models/metrics'],
  'nice-grpc': ['services/kit'],
  'nice-grpc-client-middleware-deadline': ['services/kit'],
  'nice-grpc-client-middleware-retry': ['services/kit'],
  'nice-grpc-common': anywhere,
  'nice-grpc-error-details': ['services/kit'],
  'nice-grpc-server-health': ['services/kit'],
  'onnxruntime-node': ['services/inference'],
  openai: ['examples'],
  pino: ['services/kit'],
  postgres: ['gateway/database'],
  'range-parser': ['gateway/api'],
  sharp: ['gateway/media', 'triton-models/evaluation', 'triton-models/metrics', 'cli/make-films.ts'],
  undici: ['triton-models/pull'],
  zod: anywhere,
};

/** Which further ones may import only the types of a package. */
export const packageTypes: Readonly<Record<string, readonly string[]>> = {
  'nice-grpc': ['services', 'gateway'],
  postgres: ['gateway', 'cli/keys.ts'],
};

function rooms(folder: string, ...names: string[]): string[] {
  return names.map((name) => `${folder}/${name}`);
}
