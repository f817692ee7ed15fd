import { access, readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Status } from 'nice-grpc-common';
import { FusionError, toFusionError } from '../../services/kit/errors.ts';
import { contentParameter, manifestName } from '../../services/pipeline/model-manifest.ts';
import type { Tensor } from '../../services/pipeline/tensor.ts';
import { modelContent } from '../../services/triton/model-content.ts';
import type { TritonClient } from '../../services/triton/triton-client.ts';
import type { EnginePrecision } from '../graphs/engine-precision.ts';
import type { Manifest } from '../packaging/manifest.ts';
import { readParameter } from '../packaging/model-config.ts';
import { listReferences, readReference } from '../references/reference-file.ts';
import { type Difference, measureDifference } from './difference.ts';

/**
 * Limits on the largest difference from the float32 reference, in its standard deviations. Engines compute float32 products
 * in TF32, whose fractions are as short as float16's; bfloat16's are eight times as coarse.
 */
export const servedLimits: Readonly<Record<EnginePrecision, number>> = { float32: 0.03, float16: 0.05, bfloat16: 0.4 };

export interface ServedOutput extends Difference {
  model: string;
  /** Of the engine's profile that takes the recorded shapes. */
  profile: string;
  output: string;
  shape: readonly number[];
  precision: EnginePrecision;
  /** Largest difference allowed. */
  limit: number;
  passed: boolean;
}

export interface ServedModels {
  outputs: ServedOutput[];
  /** Models without recorded outputs. */
  unrecorded: string[];
}

export interface VerifyServedOptions {
  /** Limit for every precision; default {@link servedLimits}. */
  limit?: number | undefined;
  /** How long to wait until the server has a model. */
  waitSeconds: number;
  signal: AbortSignal;
}

const callSeconds = 10;
const retryMilliseconds = 250;

/** The version of a model whose outputs a build records; others may be beside it. */
export const recordedVersion = '1';

/**
 * Sends the inputs recorded in a model repository to the server that serves it, and measures how much its outputs differ
 * from the recorded ones. The client asks for {@link recordedVersion}, or for any if there is only that. Throws NOT_FOUND for a folder without recorded outputs, UNAVAILABLE for a server that does not
 * have a model in time, and FAILED_PRECONDITION for one that serves another build.
 */
export async function verifyServed(
  repository: string,
  triton: TritonClient,
  options: VerifyServedOptions,
): Promise<ServedModels> {
  const found: ServedModels = { outputs: [], unrecorded: [] };
  for (const folder of await modelFolders(repository)) {
    const references = await listReferences(folder);
    if (references.length === 0) {
      found.unrecorded.push(basename(folder));
    }
    for (const [index, path] of references.entries()) {
      if (index === 0) {
        await expectBuild(folder, triton, options);
      }
      found.outputs.push(...(await verifyReference(folder, path, triton, options)));
    }
  }
  if (found.outputs.length === 0) {
    throw new FusionError(
      Status.NOT_FOUND,
      `case: ${repository} has no recorded outputs; \`fusionframes models build\` records them for --target tensorrt, and with --record`,
      { reason: 'CASE_NOT_FOUND', field: 'case' },
    );
  }
  return found;
}

/** The models of a repository, or the one whose folder this is. */
async function modelFolders(folder: string): Promise<string[]> {
  const isModel = (path: string) =>
    access(join(path, 'config.pbtxt')).then(
      () => true,
      () => false,
    );
  if (await isModel(folder)) {
    return [folder];
  }
  const names = await readdir(folder).catch(() => []);
  const paths = names.sort().map((name) => join(folder, name));
  const are = await Promise.all(paths.map(isModel));
  return paths.filter((_, i) => are[i]);
}

/** Waits until the server has the model, and requires that it is the one in this folder. */
async function expectBuild(
  folder: string,
  triton: TritonClient,
  { waitSeconds, signal }: VerifyServedOptions,
): Promise<void> {
  const name = basename(folder);
  const deadline = Date.now() + waitSeconds * 1000;
  for (;;) {
    const found = await stateOf(name, triton, signal);
    if (found === 'ready') {
      break;
    }
    if (Date.now() > deadline) {
      const message = `${triton.address} does not serve ${name} after ${waitSeconds} s: ${found}`;
      throw new FusionError(Status.UNAVAILABLE, message, { reason: 'MODEL_UNUSABLE' });
    }
    await sleep(retryMilliseconds, undefined, { signal });
  }
  const config = await readFile(join(folder, 'config.pbtxt'), 'utf8');
  const built = [contentParameter(recordedVersion), contentParameter()].map((each) => readParameter(config, each));
  const served = await modelContent(triton, name, signal);
  const expected = built.find((each) => each !== undefined);
  if (served !== undefined && served !== expected) {
    throw new FusionError(
      Status.FAILED_PRECONDITION,
      `${triton.address} serves another build of ${name}: content ${expected} expected, ${served} found`,
      { reason: 'MODEL_MISMATCH' },
    );
  }
}

/** `ready`, or why not. */
async function stateOf(name: string, triton: TritonClient, signal: AbortSignal): Promise<string> {
  try {
    const { modelVersion: version } = triton;
    const options = { signal, timeoutSeconds: callSeconds, ...(version !== undefined && { version }) };
    return (await triton.models.isReady(name, options)) ? 'ready' : 'it is not ready';
  } catch (error) {
    signal.throwIfAborted();
    return toFusionError(error).message;
  }
}

async function verifyReference(
  folder: string,
  path: string,
  triton: TritonClient,
  { limit, signal }: VerifyServedOptions,
): Promise<ServedOutput[]> {
  const model = basename(folder);
  const { name: profile, inputs, outputs } = await readReference(path);
  const precision = await precisionOf(folder);
  const served = await triton.infer({ model, inputs, signal });
  return Object.entries(outputs).map(([output, reference]) => {
    const measured = measureDifference(matching(served[output], reference, `${model}: output ${output}`), reference);
    const allowed = (limit ?? servedLimits[precision]) + roundingOf(reference) / measured.deviation;
    const { shape } = reference;
    const passed = measured.largest <= allowed;
    return { model, profile, output, shape, precision, ...measured, limit: allowed, passed };
  });
}

async function precisionOf(folder: string): Promise<EnginePrecision> {
  const text = await readFile(join(folder, manifestName), 'utf8').catch(() => '{}');
  return (JSON.parse(text) as Partial<Manifest>).precision ?? 'float32';
}

function matching(given: Tensor | undefined, { dataType, shape }: Tensor, what: string): Tensor {
  if (given?.dataType !== dataType || given.shape.join() !== shape.join()) {
    const found = given ? `${given.dataType} [${given.shape}]` : 'nothing';
    throw new FusionError(Status.FAILED_PRECONDITION, `${what} must be ${dataType} [${shape}] (got ${found})`, {
      reason: 'MODEL_MISMATCH',
    });
  }
  return given;
}

/** Whole numbers may round to a neighbour, however small the difference before. */
const roundingOf = ({ dataType }: Tensor) => (dataType === 'uint8' ? 1 : 0);
