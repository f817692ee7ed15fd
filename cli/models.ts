import { Command } from 'commander';
import { either } from '../services/kit/either.ts';
import { invalidField } from '../services/kit/errors.ts';
import { plainText } from '../services/kit/plain-text.ts';
import { formatTable } from '../services/kit/table.ts';
import { wholeNumber } from '../services/kit/values.ts';
import { movqEncoderName } from '../services/pipeline/networks/movq.ts';
import {
  firstFrameModelNames,
  frameCount,
  frameRateNames,
  listPresets,
  loadPreset,
  modelNames,
  type Preset,
} from '../services/pipeline/preset.ts';
import { enginePrecisions, isEnginePrecision } from '../triton-models/graphs/engine-precision.ts';
import { parametersOf } from '../triton-models/networks/preset-networks.ts';
import type { RepositoryOptions, Target } from '../triton-models/packaging/ensure-repository.ts';
import { featureModels, isFeatureNetworks } from '../triton-models/packaging/model-set.ts';
import type { LoraRequest } from '../triton-models/packaging/plan-loras.ts';
import { type ServedModel, servedModels } from '../triton-models/packaging/served-models.ts';
import { type WeightsState, weightsState } from '../triton-models/packaging/weights-state.ts';
import { listFeatureNetworks, loadFeatureNetworks } from '../triton-models/sources/feature-networks.ts';
import type { Precisions } from '../triton-models/tensorrt/plan-engines.ts';
import { interruptSignal, reportInterruption } from './interrupt.ts';
import { collectLora } from './lora-flag.ts';
import { describeModelsCommand } from './models-describe.ts';
import { measureModelsCommand } from './models-measure.ts';
import { verifyModelsCommand } from './models-verify.ts';
import { pullCommand } from './pull.ts';
import { formatBytes, formatCount } from './units.ts';
import { choiceFlag, parseFlag } from './video-options.ts';

const maxModelVersion = 1_000_000;

export function modelsCommand(): Command {
  return new Command('models')
    .description('Manage presets, their weights and the model repositories built from them.')
    .addCommand(
      new Command('list')
        .description(
          'List presets, and networks that judge videos, with their parameters and the state of their weights.',
        )
        .action(list),
    )
    .addCommand(
      new Command('build')
        .description(
          'Build the model repository of a preset or of networks that judge videos; models that are up to date are not rebuilt.',
        )
        .argument('<preset>', "name of a preset or of networks that judge videos, or the path of a preset's .json file")
        .option(
          '-o, --output <folder>',
          "folder of the repository (default: repository/<name> in the models' folder, with -tensorrt for that target)",
        )
        .addOption(
          choiceFlag('--target <target>', 'what serves it: ONNX Runtime on the CPU, or TensorRT engines on a GPU', [
            'onnxruntime',
            'tensorrt',
          ]).default('onnxruntime'),
        )
        .option('--gpu-memory <GB>', 'memory of the GPU, which decides how large TensorRT batches are', '80')
        .option('--gpu-per-stage', 'each stage has a GPU of its own, as on Kubernetes (default: all models share one)')
        .option(
          '--precision <[model=]precision>',
          `what TensorRT computes products in: ${enginePrecisions.join(', ')}, for all models or one; can be repeated ` +
            '(default: float16, the decoder float32)',
          collectPrecision,
        )
        .option('--checkpoint <folder>', "folder of the published files, as downloaded by pull (default: the preset's)")
        .option(
          '--link',
          "hard-link the checkpoint's files instead of copying them; rewriting them changes what is served",
        )
        .option(
          '--record',
          'record outputs of each model in float32, with which `models verify` compares a server (default for tensorrt)',
        )
        .option('--no-record', 'record none, which saves running each model once per profile')
        .option(
          '--lora <[model=]file[:scale]>',
          'merge a LoRA into the weights, in float32; can be repeated; needs --output',
          collectLora,
        )
        .option(
          '--model-version <n>',
          'add the models as this version, from 2, beside version 1 in --output, for stages with FUSIONFRAMES_MODEL_VERSION; with --lora only the models that it changes, and the others of the same stages',
        )
        .option(
          '--encoder',
          "also build the encoder with which keyframes can be given, from the decoder's checkpoint (presets that continue a first frame always have it)",
        )
        .option('--ignore-extra', "leave out tensors that the networks do not have, such as an optimizer's")
        .action(build),
    )
    .addCommand(describeModelsCommand())
    .addCommand(measureModelsCommand())
    .addCommand(pullCommand())
    .addCommand(verifyModelsCommand());
}

async function list(): Promise<void> {
  const presets = await Promise.all(listPresets().map((name) => presetRow(loadPreset(name))));
  const judges = await Promise.all(listFeatureNetworks().map(judgeRow));
  process.stdout.write(
    `${formatTable(['preset', 'size', 'frames', 'parameters', 'weights'], presets)}\n` +
      formatTable(['networks that judge videos', 'parameters', 'weights'], judges),
  );
}

async function presetRow(preset: Preset): Promise<string[]> {
  const { width, height } = preset.frameSize.default;
  const frames = frameRateNames.map((rate) => frameCount(preset, rate)).join(', ');
  const { parameters, states } = await weighModels(servedModels(preset));
  return [preset.name, `${width}×${height}`, frames, formatCount(parameters), describeWeights(states)];
}

async function judgeRow(name: string): Promise<string[]> {
  const { parameters, states } = await weighModels(featureModels(loadFeatureNetworks(name)).models());
  // Random ones would judge nothing, so they are not used unless that is asked for.
  const real = states.map(([model, state]) => [model, state === 'random' ? 'missing' : state] as const);
  return [name, formatCount(parameters), describeWeights(real)];
}

async function weighModels(models: readonly ServedModel[]) {
  const parameters = models.reduce((sum, model) => sum + parametersOf(model).count, 0);
  const states = await Promise.all(models.map(async (model) => [model.name, await weightsState(model)] as const));
  return { parameters, states };
}

function describeWeights(states: readonly (readonly [string, WeightsState])[]): string {
  return (['trained', 'random', 'missing'] as const)
    .map((state) => [state, states.filter(([, each]) => each === state).map(([name]) => name)] as const)
    .filter(([, names]) => names.length > 0)
    .map(([state, names]) => (names.length === states.length ? state : `${state}: ${names.join(', ')}`))
    .join('; ');
}

interface BuildOptions {
  output?: string;
  checkpoint?: string;
  target: 'onnxruntime' | 'tensorrt';
  gpuMemory: string;
  gpuPerStage?: boolean;
  precision?: Precisions;
  link?: boolean;
  record?: boolean;
  encoder?: boolean;
  ignoreExtra?: boolean;
  lora?: LoraRequest[];
  modelVersion?: string;
}

async function build(name: string, options: BuildOptions): Promise<void> {
  const target = targetOf(options);
  if (isFeatureNetworks(name) && target !== 'onnxruntime') {
    throw invalidField('--target', options.target, `onnxruntime for ${name}`);
  }
  if (isFeatureNetworks(name) && options.encoder) {
    throw invalidField('--encoder', name, 'left out: only presets have one');
  }
  if (isFeatureNetworks(name) && options.record) {
    throw invalidField('--record', name, 'left out: outputs are only recorded for the models of presets');
  }
  requireOwnFolder(name, options);
  const version =
    options.modelVersion === undefined
      ? undefined
      : parseFlag('--model-version', wholeNumber(2, maxModelVersion), options.modelVersion);
  const signal = interruptSignal();
  const { ensureRepository } = await import('../triton-models/packaging/ensure-repository.ts');
  const settings = {
    ...(options.output !== undefined && { folder: options.output }),
    ...(options.checkpoint !== undefined && { checkpoint: options.checkpoint }),
    ...(options.record !== undefined && { record: options.record }),
    ...(options.lora !== undefined && { loras: options.lora }),
    ...(version !== undefined && { version }),
    ...(options.encoder && { encoder: 'always' as const }),
    link: options.link ?? false,
    ignoreExtra: options.ignoreExtra ?? false,
    signal,
    onModel: ({ name: model, parameters, bytes, weights, isNew, seconds, notes }) => {
      const what = isNew ? `built in ${seconds.toFixed(1)} s` : 'up to date';
      const facts = `${formatCount(parameters)} parameters, ${formatBytes(bytes)}, ${weights} weights`;
      process.stdout.write(`${model}: ${what} (${facts})\n`);
      for (const note of notes) {
        process.stderr.write(`${model}: ${plainText(note)}\n`);
      }
    },
  } satisfies RepositoryOptions;
  try {
    const { folder, warnings } = isFeatureNetworks(name)
      ? { ...(await buildJudges(name, settings)), warnings: [] }
      : await ensureRepository(loadPreset(name), { ...settings, target });
    process.stdout.write(`${folder}\n`);
    for (const warning of warnings) {
      process.stderr.write(`warning: ${plainText(warning)}\n`);
    }
  } catch (error) {
    reportInterruption(
      error,
      signal,
      'interrupted: finished models are kept; run the same command to build the others\n',
    );
  }
}

/** A preset's usual folder is brought up to date without them by the next `serve`. */
function requireOwnFolder(name: string, { lora, modelVersion, output }: BuildOptions): void {
  if (modelVersion !== undefined && (output === undefined || isFeatureNetworks(name))) {
    throw invalidField('--model-version', modelVersion, 'used for a preset, with --output: the folder with version 1');
  }
  if (lora !== undefined && isFeatureNetworks(name)) {
    throw invalidField('--lora', name, 'left out: it is only for the models of presets');
  }
  if (lora !== undefined && output === undefined) {
    throw invalidField('--output', output, 'a folder of its own with --lora');
  }
}

async function buildJudges(name: string, options: Omit<RepositoryOptions, 'target'>) {
  const { ensureModels } = await import('../triton-models/packaging/ensure-repository.ts');
  const models = featureModels(loadFeatureNetworks(name)).models(options.checkpoint);
  return ensureModels(name, models, { ...options, allowsRandom: false });
}

function targetOf({ target, gpuMemory, gpuPerStage = false, precision }: BuildOptions): Target {
  const gigabytes = Number(gpuMemory);
  if (!(gigabytes > 0 && Number.isFinite(gigabytes))) {
    throw invalidField('--gpu-memory', gpuMemory, 'a number of GB above 0');
  }
  if (target === 'onnxruntime') {
    if (precision) {
      throw invalidField('--target', target, 'tensorrt with --precision: ONNX Runtime computes in float32');
    }
    if (gpuPerStage) {
      throw invalidField('--target', target, 'tensorrt with --gpu-per-stage: only engines are planned for GPUs');
    }
    return target;
  }
  const devices = { deviceMemory: gigabytes * 1e9, isPerStage: gpuPerStage };
  return { tensorrt: { ...devices, ...(precision && { precisions: precision }) } };
}

/** A precision for all models, or `model=precision`; later ones win. */
function collectPrecision(given: string, earlier: Precisions = {}): Precisions {
  const names: string[] = [...Object.values({ ...modelNames, ...firstFrameModelNames }), movqEncoderName];
  const [precision, name] = given.split('=').reverse() as [string, string?];
  const isName = name === undefined || names.includes(name);
  if (!isName || !isEnginePrecision(precision) || given.split('=').length > 2) {
    const allowed = `${either(enginePrecisions)}, for all models or as model=precision for one of ${names.join(', ')}`;
    throw invalidField('--precision', given, allowed);
  }
  const chosen = name === undefined ? names : [name];
  return { ...earlier, ...Object.fromEntries(chosen.map((each) => [each, precision])) };
}
