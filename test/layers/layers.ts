const base = ['proto', 'services/kit', 'services/pipeline'];
const stage = [...base, 'services/diffusion', 'services/triton'];
const triton = ['proto/gen/grpc_service.ts', 'proto/gen/model_config.ts'];

/**
 * What each folder or file may import besides itself. A file belongs to the longest matching path; a path covers
 * everything below it except what longer paths cover.
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
  'services/text-encoder': stage,
  'services/keyframes': stage,
  'services/interpolation': stage,
  'services/decoder': stage,
  'services/onnx': ['proto', 'proto/gen/onnx'],
  'services/inference': [...base, ...triton, 'services/onnx'],

  'gateway/data-folder.ts': ['services/kit'],
  'gateway/database': ['services/kit', 'gateway/data-folder.ts'],
  'gateway/storage': ['services/kit', 'gateway/data-folder.ts'],
  'gateway/gateway-data.ts': ['services/kit', 'gateway/data-folder.ts', 'gateway/database', 'gateway/storage'],
  'gateway/media': ['services/kit'],
  'gateway/stages': base,
  'gateway/client': base,
  'gateway/keys': ['services/kit', 'gateway/database'],
  'gateway/models': [...base, 'gateway/stages'],
  'gateway/moderation': ['services/kit', 'gateway/database', 'gateway/media'],
  'gateway/jobs': [
    ...base,
    ...rooms('gateway', 'database', 'keys', 'media', 'models', 'moderation', 'stages', 'storage'),
  ],
  'gateway/webhooks': [...base, ...rooms('gateway', 'database', 'jobs', 'storage')],
  'gateway/api': [
    ...base,
    ...rooms('gateway', 'gateway-data.ts', 'database', 'jobs', 'keys', 'models', 'storage', 'webhooks'),
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
      'moderation',
      'stages',
      'storage',
    ),
    'gateway/webhooks',
  ],

  'triton-models/world': base,
  'triton-models/sources': base,
  'triton-models/checkpoints': base,
  'triton-models/graphs': [...base, 'proto/gen/onnx', 'triton-models/checkpoints'],
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
    ...rooms('triton-models', 'checkpoints', 'describe', 'graphs', 'networks', 'sources', 'tensorrt'),
  ],
  'triton-models/pull': [...base, ...rooms('triton-models', 'checkpoints', 'packaging', 'sources')],
  'triton-models/verify': [
    ...base,
    'proto/gen/onnx',
    ...rooms('triton-models', 'checkpoints', 'graphs', 'networks', 'packaging'),
  ],
  'triton-models/evaluation': [...base, 'triton-models/world'],
  'triton-models/metrics': [...base, 'triton-models/world'],
};

/** These may import everything above them. */
export const anything = ['cli', 'test'];

/** Known violations, to be fixed. Do not add new ones. */
export const exceptions: readonly (readonly [from: string, to: string])[] = [];

function rooms(folder: string, ...names: string[]): string[] {
  return names.map((name) => `${folder}/${name}`);
}
