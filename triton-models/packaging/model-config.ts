import { elementTypes } from '../../services/pipeline/element-types.ts';
import { contentParameter } from '../../services/pipeline/model-manifest.ts';
import type { Endpoint } from '../graphs/graph.ts';

/** Parameter of a model's configuration that says `random` if its weights are. */
export const weightsParameter = 'weights';

/** The levels of a model's queue: requests of priority 1 go before those of priority 2, the default. */
export const queueLevels = 'priority_levels: 2, default_priority_level: 2';

/**
 * The `config.pbtxt` of a model, in the text format of Triton's ModelConfig. The first axis of every tensor is the
 * batch. Batching adds no delay: while one request runs, those of other jobs queue up.
 *
 * @param content hash over the model's files, with which stages tell models apart
 * @param isRandom whether the weights are random, which clients read from the configuration
 */
export function modelConfig(
  name: string,
  maxBatchSize: number,
  inputs: readonly Endpoint[],
  outputs: readonly Endpoint[],
  content: string,
  isRandom: boolean,
): string {
  return `name: "${name}"
backend: "onnxruntime"
max_batch_size: ${maxBatchSize}
${tensorLines(inputs, outputs)}
dynamic_batching { ${queueLevels} }
instance_group [ { count: 1, kind: KIND_CPU } ]
${parameter(contentParameter(), content)}${isRandom ? parameter(weightsParameter, 'random') : ''}`;
}

/** A parameter of a model's configuration, with a line break. */
export function parameter(name: string, value: string): string {
  return `parameters { key: "${name}" value: { string_value: "${value}" } }\n`;
}

/** Its value in such a text; undefined if it is missing. */
export function readParameter(config: string, name: string): string | undefined {
  const [before, after] = parameter(name, '|').split('|') as [string, string];
  const start = config.indexOf(before);
  return start < 0 ? undefined : config.slice(start + before.length, config.indexOf(after, start));
}

/** The inputs and outputs of a model, one per line. */
export function tensorLines(inputs: readonly Endpoint[], outputs: readonly Endpoint[]): string {
  return [...inputs.map((each) => tensor('input', each)), ...outputs.map((each) => tensor('output', each))].join('\n');
}

function tensor(kind: 'input' | 'output', { name, dataType, shape = [] }: Endpoint): string {
  const dims = shape.slice(1).map((size) => (typeof size === 'number' ? size : -1));
  return `${kind} [ { name: "${name}", data_type: ${elementTypes[dataType].config}, dims: [ ${dims.join(', ')} ] } ]`;
}
