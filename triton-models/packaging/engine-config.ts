import { elementTypes } from '../../services/pipeline/element-types.ts';
import { contentParameter } from '../../services/pipeline/model-manifest.ts';
import type { Endpoint } from '../graphs/graph.ts';
import type { EngineProfile } from '../tensorrt/engine-profiles.ts';
import { parameter, queueLevels, tensorLines } from './model-config.ts';

/** Limits on the number of waiting requests and on their waiting time; beyond either the caller gets UNAVAILABLE. */
const maxQueued = 64;
const maxWaitMicroseconds = 120_000_000;

/**
 * The `config.pbtxt` of an engine on a GPU. Items of different videos batch together. The model becomes ready after every
 * profile has run once.
 *
 * @param content hash over the model's files, with which stages tell models apart
 */
export function engineConfig(
  name: string,
  maxBatchSize: number,
  inputs: readonly Endpoint[],
  outputs: readonly Endpoint[],
  content: string,
  profiles: readonly EngineProfile[],
): string {
  const names = profiles.map((_, index) => `"${index}"`).join(', ');
  return `name: "${name}"
backend: "tensorrt"
max_batch_size: ${maxBatchSize}
${tensorLines(inputs, outputs)}
version_policy { latest { num_versions: 1 } }
instance_group [ { count: 1, kind: KIND_GPU, profile: [ ${names} ] } ]
dynamic_batching {
  ${queueLevels}
  default_queue_policy {
    timeout_action: REJECT
    default_timeout_microseconds: ${maxWaitMicroseconds}
    allow_timeout_override: true
    max_queue_size: ${maxQueued}
  }
}
${parameter(contentParameter(), content)}${profiles.map((profile) => warmup(profile, inputs)).join('\n')}
`;
}

/** Name of the file in a model's `warmup` folder with an input of a profile's sample. */
export function warmupFile(profile: string, input: string): string {
  return `${profile}.${input}`;
}

function warmup({ name, shapes }: EngineProfile, inputs: readonly Endpoint[]): string {
  const batchSize = Object.values(shapes)[0]!.opt[0]!;
  const lines = inputs.map(({ name: input, dataType }) => {
    const dims = shapes[input]!.opt.slice(1).join(', ');
    const value = `data_type: ${elementTypes[dataType].config}, dims: [ ${dims} ], input_data_file: "${warmupFile(name, input)}"`;
    return `  inputs { key: "${input}" value { ${value} } }`;
  });
  return `model_warmup {\n  name: "${name}"\n  batch_size: ${batchSize}\n${lines.join('\n')}\n}`;
}
