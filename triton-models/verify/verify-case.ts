import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { makeTemporaryFolder } from '../../services/kit/temporary-folder.ts';
import type { Tensor } from '../../services/pipeline/tensor.ts';
import type { Checkpoint } from '../checkpoints/checkpoint.ts';
import { type CheckpointPart, CheckpointWeights } from '../checkpoints/checkpoint-weights.ts';
import { readSafetensors } from '../checkpoints/safetensors.ts';
import { writeSafetensors } from '../checkpoints/safetensors-writer.ts';
import { tensorBytes } from '../checkpoints/tensor-bytes.ts';
import { Graph } from '../graphs/graph.ts';
import { keepOfSecondAxis, largestDifference } from './difference.ts';
import { brokenCase, type GoldenCase, openGoldenCase } from './golden-case.ts';
import { type Comparison, type NetworkCheck, networkChecks } from './network-checks.ts';
import { withModel } from './temporary-model.ts';

export interface VerifiedOutput {
  network: string;
  /** Name of the reference tensor. */
  name: string;
  shape: readonly number[];
  isIntermediate: boolean;
  /** Largest difference in standard deviations of the reference; null if the network has no such module. */
  difference: number | null;
}

/**
 * Builds a case's network from its weights, runs it on the case's inputs and measures the difference from the case's
 * outputs. Throws FAILED_PRECONDITION, naming the problem, for a case that cannot be checked.
 */
export async function verifyCase(folder: string, options: { intermediates: boolean }): Promise<VerifiedOutput[]> {
  const golden = await openGoldenCase(folder);
  const results = new Map<string, Tensor>();
  const outputs: VerifiedOutput[] = [];
  const checks = await networkChecks(golden);
  if (checks.length === 0) {
    throw brokenCase(`${golden.io.path}: holds no reference output of the network`);
  }
  for (const check of checks) {
    const comparisons = check.comparisons.filter((each) => options.intermediates || !isIntermediate(each));
    const produced = await runCheck(check, comparisons, results);
    for (const comparison of comparisons) {
      outputs.push(await compare(golden, check.network, comparison, produced));
      results.set(comparison.golden, produced[comparison.golden]!);
    }
  }
  return outputs;
}

/** The network's result for each comparison, by name of the reference. */
async function runCheck(
  check: NetworkCheck,
  comparisons: readonly Comparison[],
  earlier: ReadonlyMap<string, Tensor>,
): Promise<Record<string, Tensor>> {
  const folder = makeTemporaryFolder();
  try {
    const parts = await Promise.all(
      check.parts.map(async ({ file, ...part }, i) => ({
        ...part,
        file: await withoutStrides(file, join(folder, `unstrided-${i}.safetensors`)),
      })),
    );
    return await runBuilt(check, parts, comparisons, earlier);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The same tensors, with strided ones rewritten to `path`: external data cannot have strides. */
async function withoutStrides(checkpoint: Checkpoint, path: string): Promise<Checkpoint> {
  const strided = new Map([...checkpoint.tensors].filter(([, { strides }]) => strides !== undefined));
  if (strided.size === 0) {
    return checkpoint;
  }
  await writeSafetensors(path, strided, (name) => tensorBytes(strided.get(name)!));
  return { ...checkpoint, tensors: new Map([...checkpoint.tensors, ...(await readSafetensors(path)).tensors]) };
}

async function runBuilt(
  check: NetworkCheck,
  parts: readonly CheckpointPart[],
  comparisons: readonly Comparison[],
  earlier: ReadonlyMap<string, Tensor>,
): Promise<Record<string, Tensor>> {
  const weights = new CheckpointWeights(parts);
  const graph = new Graph(check.network, weights);
  check.build(graph);
  weights.verify(check.network, check.otherNetworks);
  for (const { golden, source } of comparisons) {
    if ('module' in source) {
      graph.expose(source.module, golden, source.meanOver);
    }
  }
  const files = new Set(parts.flatMap(({ file }) => [...file.tensors.values()].map((stored) => stored.file)));
  return await withModel(graph, [...files], async (session) => {
    const outputs = await session.run(await check.feeds(earlier));
    return Object.fromEntries(
      comparisons.map(({ golden, source }) => [golden, outputs['output' in source ? source.output : golden]!]),
    );
  });
}

async function compare(
  golden: GoldenCase,
  network: string,
  comparison: Comparison,
  produced: Record<string, Tensor>,
): Promise<VerifiedOutput> {
  const reference = await golden.tensor(comparison.golden);
  const described = {
    network,
    name: comparison.golden,
    shape: reference.shape,
    isIntermediate: isIntermediate(comparison),
  };
  const whole = produced[comparison.golden];
  if (whole === undefined) {
    return { ...described, difference: null };
  }
  const actual = comparison.keep === undefined ? whole : keepOfSecondAxis(whole, comparison.keep);
  const isRepeated = actual.shape[0] === 1 && actual.shape.slice(1).join() === reference.shape.slice(1).join();
  if (!isRepeated && withoutOnes(actual.shape) !== withoutOnes(reference.shape)) {
    throw brokenCase(
      `${golden.io.path}: \`${comparison.golden}\` must have shape [${actual.shape}], as the network's output (got [${reference.shape}])`,
    );
  }
  return { ...described, difference: largestDifference(actual, reference) };
}

/** A batched model gives a number per item as `[items, 1]`, its reference as `[items]`. */
const withoutOnes = (shape: readonly number[]) => shape.filter((size) => size !== 1).join();

function isIntermediate({ source }: Comparison): boolean {
  return 'module' in source && source.module !== 'last_hidden_state';
}
