import { access, mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { CheckpointWeights } from '../checkpoints/checkpoint-weights.ts';
import { writeRandomWeights } from '../checkpoints/random-weights.ts';
import { readSafetensors } from '../checkpoints/safetensors.ts';
import { Graph } from '../graphs/graph.ts';
import { modelConfig } from './model-config.ts';
import { placeFile } from './place-file.ts';
import { parametersOf, type ServedModel } from './served-models.ts';

/** Where the weights of a model come from: a checkpoint, or a seed; missing where a network is too large for that. */
export type WeightsState = 'trained' | 'random' | 'missing';

// Random weights are for trying a small preset out; nobody wants gigabytes of them.
const mostRandomParameters = 100_000_000;
const randomSeed = 1;

/** The weights that a model would be built with now. */
export async function weightsState(model: ServedModel): Promise<WeightsState> {
  const hasCheckpoint = await access(model.checkpoint).then(
    () => true,
    () => false,
  );
  if (hasCheckpoint) {
    return 'trained';
  }
  return parametersOf(model).count <= mostRandomParameters ? 'random' : 'missing';
}

/**
 * Writes a model into an empty folder: `config.pbtxt`, `1/model.onnx` and, beside it, the weights: the checkpoint
 * itself, linked, or seeded random ones. Throws NOT_FOUND when the weights are missing and FAILED_PRECONDITION, naming
 * every parameter at fault, when the checkpoint does not fit.
 */
export async function buildModel(
  model: ServedModel,
  state: WeightsState,
  folder: string,
): Promise<{ parameters: number; bytes: number }> {
  const versionFolder = join(folder, '1');
  const weightsPath = join(versionFolder, 'weights.safetensors');
  const { shapes, count } = parametersOf(model);
  if (state === 'missing') {
    throw new FusionError(
      Status.NOT_FOUND,
      `${model.name}: there is no checkpoint ${model.checkpoint} (random weights are made for networks of up to ` +
        `${mostRandomParameters} parameters, this one has ${count})`,
      { reason: 'CHECKPOINT_NOT_FOUND', field: 'weights' },
    );
  }
  await mkdir(versionFolder, { recursive: true });
  if (state === 'trained') {
    await placeFile(model.checkpoint, weightsPath);
  } else {
    await writeRandomWeights(weightsPath, shapes, randomSeed);
  }
  const weights = new CheckpointWeights([{ file: await readSafetensors(weightsPath) }]);
  const graph = new Graph(model.name, weights);
  model.build(graph);
  weights.verify(model.name, model.otherNetworks);
  await writeFile(join(versionFolder, 'model.onnx'), graph.encode());
  const config = modelConfig(model.name, model.maxBatchSize, graph.inputs, graph.outputs);
  await writeFile(join(folder, 'config.pbtxt'), config);
  return { parameters: count, bytes: (await stat(weightsPath)).size };
}
