import type { ModelConfig, ModelEnsembling_Step as Step } from '../../../proto/gen/model_config.ts';
import { invalidArgument } from '../errors.ts';
import { requireModelName } from '../repository/model-name.ts';
import { sameShape, wildcard } from '../shapes.ts';

interface Tensor {
  readonly dataType: number;
  /** Whole shape, including the batch axis if there is one. */
  readonly shape: readonly bigint[];
}

export function stepsOf(config: ModelConfig): Step[] {
  return config.schedulingChoice?.$case === 'ensembleScheduling' ? config.schedulingChoice.value.step : [];
}

/** Throws INVALID_ARGUMENT for a step without a usable model name. */
export function requireStepNames(config: ModelConfig): void {
  for (const [index, { modelName }] of stepsOf(config).entries()) {
    if (modelName === '') {
      throw invalidArgument(`must specify 'model_name' in step ${index} of ensemble '${config.name}'`);
    }
    requireModelName(modelName);
  }
}

/** Checks how an ensemble's tensors connect. Throws INVALID_ARGUMENT. */
export function validateEnsemble(config: ModelConfig): void {
  const { name } = config;
  if (config.instanceGroup.length > 0) {
    throw invalidArgument(`instance group should not be specified for ensemble '${name}'`);
  }
  const steps = stepsOf(config);
  if (steps.length === 0) {
    throw invalidArgument(`must specify 'step' for ensemble '${name}'`);
  }
  const written = new Set(config.input.map((input) => input.name));
  const read = new Set<string>();
  for (const [index, step] of steps.entries()) {
    for (const field of ['inputMap', 'outputMap'] as const) {
      if (Object.keys(step[field]).length === 0) {
        const spelled = field.replace(/[A-Z]/, (letter) => `_${letter.toLowerCase()}`);
        throw invalidArgument(`must specify '${spelled}' in step ${index} of ensemble '${name}'`);
      }
    }
    for (const tensor of Object.values(step.outputMap)) {
      if (written.has(tensor)) {
        throw invalidArgument(
          `ensemble tensor '${tensor}' can appear in an output map only once for ensemble '${name}' step ${index}`,
        );
      }
      written.add(tensor);
    }
    for (const tensor of Object.values(step.inputMap)) {
      read.add(tensor);
    }
  }
  const outputs = new Set(config.output.map((output) => output.name));
  for (const tensor of [...outputs, ...read]) {
    if (!written.has(tensor)) {
      throw invalidArgument(`ensemble tensor '${tensor}' of ensemble '${name}' is not written`);
    }
  }
  for (const tensor of written) {
    if (!read.has(tensor) && !outputs.has(tensor)) {
      throw invalidArgument(`ensemble tensor '${tensor}' is unused in ensemble '${name}'`);
    }
  }
  refuseCycles(config, steps);
}

/** Checks that the members' tensors match. Throws INVALID_ARGUMENT. */
export function validateMembers(config: ModelConfig, memberConfig: (step: Step) => ModelConfig): void {
  const tensors = new Map<string, Tensor>();
  for (const { name, dataType, dims } of [...config.input, ...config.output]) {
    tensors.set(name, { dataType, shape: config.maxBatchSize > 0 ? [wildcard, ...dims] : dims });
  }
  for (const step of stepsOf(config)) {
    const member = memberConfig(step);
    if (member.maxBatchSize !== 0 && member.maxBatchSize < config.maxBatchSize) {
      throw invalidArgument(
        `ensemble ${config.name} allows maximum batch size ${config.maxBatchSize}, but it contains model ${step.modelName} which only allows maximum batch size to be ${member.maxBatchSize}`,
      );
    }
    const where = `in ensemble ${config.name}, model ${step.modelName}`;
    for (const input of member.input) {
      if (!input.optional && step.inputMap[input.name] === undefined) {
        throw invalidArgument(`${where}: input '${input.name}' is not mapped`);
      }
    }
    const mappings = [
      ...Object.entries(step.inputMap).map(([name, tensor]) => ({ name, tensor, known: member.input })),
      ...Object.entries(step.outputMap).map(([name, tensor]) => ({ name, tensor, known: member.output })),
    ];
    for (const { name, tensor, known } of mappings) {
      const declared = known.find((candidate) => candidate.name === name);
      if (!declared) {
        throw invalidArgument(`${where}: it has no tensor '${name}'`);
      }
      const shape = member.maxBatchSize > 0 ? [wildcard, ...declared.dims] : declared.dims;
      const other = tensors.get(tensor);
      tensors.set(tensor, other ?? { dataType: declared.dataType, shape });
      if (other && (other.dataType !== declared.dataType || !couldMatch(other.shape, shape))) {
        throw invalidArgument(`${where}: tensor '${name}' does not fit ensemble tensor '${tensor}': [${other.shape}]`);
      }
    }
  }
}

function couldMatch(a: readonly bigint[], b: readonly bigint[]): boolean {
  const open = (shape: readonly bigint[], other: readonly bigint[]) =>
    shape.map((dimension, index) => (other[index] === wildcard ? wildcard : dimension));
  return sameShape(open(a, b), open(b, a));
}

function refuseCycles(config: ModelConfig, steps: readonly Step[]): void {
  const ready = new Set(config.input.map((input) => input.name));
  let waiting = [...steps];
  while (waiting.length > 0) {
    const runnable = waiting.filter((step) => Object.values(step.inputMap).every((tensor) => ready.has(tensor)));
    if (runnable.length === 0) {
      throw invalidArgument(`the steps of ensemble '${config.name}' wait for each other`);
    }
    for (const step of runnable) {
      for (const tensor of Object.values(step.outputMap)) {
        ready.add(tensor);
      }
    }
    waiting = waiting.filter((step) => !runnable.includes(step));
  }
}
