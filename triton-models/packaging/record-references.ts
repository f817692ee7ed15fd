import { mkdir, rm, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { ModelProto } from '../../proto/gen/onnx/onnx.ts';
import { abortable } from '../../services/kit/abortable.ts';
import type { Tensor } from '../../services/pipeline/tensor.ts';
import type { Checkpoint } from '../checkpoints/checkpoint.ts';
import { CheckpointWeights } from '../checkpoints/checkpoint-weights.ts';
import { ParameterList } from '../checkpoints/parameter-list.ts';
import type { Weights } from '../checkpoints/weights.ts';
import { activationPeak } from '../describe/activation-peak.ts';
import { inferShapes } from '../describe/infer-shapes.ts';
import { Graph } from '../graphs/graph.ts';
import { parametersOf } from '../networks/preset-networks.ts';
import { writeReference } from '../references/reference-file.ts';
import { ModelSession } from '../session/model-session.ts';
import { placeWeights } from './place-weights.ts';
import type { ServedModel } from './served-models.ts';

/** A call whose outputs are recorded. */
export interface RecordedCall {
  name: string;
  inputs: Record<string, Tensor>;
}

/**
 * Runs calls in float32 on ONNX Runtime, with the checkpoint's own weights whatever the model's precision is, and writes
 * inputs and outputs into the model's folder. Returns the paths, or how much memory it would take if that is more than
 * this machine has available.
 */
export async function recordReferences(
  model: ServedModel,
  checkpoint: Checkpoint,
  calls: readonly RecordedCall[],
  modelFolder: string,
  signal?: AbortSignal,
): Promise<{ paths: string[] } | { neededBytes: number }> {
  const neededBytes = weightBytes(model, checkpoint) + largestActivations(model, calls);
  if (neededBytes > process.availableMemory()) {
    return { neededBytes };
  }
  const folder = join(modelFolder, 'recording');
  await mkdir(folder);
  try {
    const modelPath = await placeFloat32(model, checkpoint, folder, signal);
    return { paths: await runCalls(modelPath, calls, modelFolder, signal) };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The weights in float32 and, while they are converted, those in half precision as well. */
function weightBytes(model: ServedModel, { tensors }: Checkpoint): number {
  const { count, shapes } = parametersOf(model);
  const narrow = [...shapes.keys()].map((name) => tensors.get(name)!).filter(({ dataType }) => dataType !== 'F32');
  return 4 * count + narrow.reduce((sum, { length }) => sum + length, 0);
}

/** Returns the path of the graph, which reads the checkpoint's own weights. */
async function placeFloat32(
  model: ServedModel,
  checkpoint: Checkpoint,
  folder: string,
  signal?: AbortSignal,
): Promise<string> {
  const names = parametersOf(model).shapes.keys();
  const { checkpoint: placed } = await placeWeights(checkpoint, names, folder, { link: true, signal });
  const path = join(folder, 'model.onnx');
  await writeFile(path, graphOf(model, new CheckpointWeights([{ file: placed }])));
  return path;
}

async function runCalls(
  modelPath: string,
  calls: readonly RecordedCall[],
  modelFolder: string,
  signal?: AbortSignal,
): Promise<string[]> {
  const session = await ModelSession.open(modelPath, { threads: availableParallelism() });
  try {
    const paths: string[] = [];
    for (const { name, inputs } of calls) {
      // A call of a large network takes minutes, for which a cancelled build does not wait.
      const run = session.run(inputs);
      const outputs = await (signal ? abortable(signal, run) : run);
      paths.push(await writeReference(modelFolder, { name, inputs, outputs }));
    }
    return paths;
  } finally {
    const closed = session.close();
    await (signal?.aborted ? undefined : closed);
  }
}

function graphOf(model: ServedModel, weights: Weights): Uint8Array {
  const graph = new Graph(model.name, weights);
  model.build(graph);
  return graph.encode();
}

function largestActivations(model: ServedModel, calls: readonly RecordedCall[]): number {
  const graph = ModelProto.decode(graphOf(model, new ParameterList())).graph!;
  const peaks = calls.map(({ inputs }) => {
    const shapes = Object.fromEntries(Object.entries(inputs).map(([name, { shape }]) => [name, shape]));
    return activationPeak(graph, inferShapes(graph, shapes), 'float32');
  });
  return Math.max(0, ...peaks);
}
