import { randomBytes } from 'node:crypto';
import { Status } from 'nice-grpc-common';
import { isAbortError, toFusionError } from '../../kit/errors.ts';
import { describeSpan } from '../../kit/telemetry/spans.ts';
import type { InferenceCalls, InferOptions } from '../inference/inference-calls.ts';
import type { InferenceRequest } from '../inference/inference-request.ts';
import type { InferenceResult } from '../inference/inference-result.ts';
import { byteSizeOf } from '../tensors/datatypes.ts';
import { decodeTensor, type TritonTensor } from '../tensors/triton-tensor.ts';
import { KnownOutputs } from './known-outputs.ts';
import { layOut, type TensorLayout } from './layout.ts';
import type { Region, RegionPool } from './region-pool.ts';

/** A request for all outputs of a model, with inputs that this process holds. */
export interface PlainRequest extends InferenceRequest {
  inputs: Record<string, TritonTensor>;
  outputs?: never;
}

type Tensors = Record<string, TritonTensor>;

interface Mark {
  position: number;
  equals(bytes: Uint8Array): boolean;
}

const markBytes = 32;
/** After these errors the server may still be running the request. */
const withoutAnswer: readonly Status[] = [Status.DEADLINE_EXCEEDED, Status.UNAVAILABLE, Status.CANCELLED];
const aboutSharedMemory = /shared memory/i;

/**
 * Runs models with their large tensors in shared memory where possible, and in messages otherwise, transparently to the
 * caller.
 *
 * A region for outputs must be large enough before their sizes are known, so the first request of its kind uses messages and
 * reveals them. The first answer through a region proves that both sides share it: it must have overwritten a random mark.
 * From then on inputs use regions as well.
 */
export class SharedInference {
  readonly #inference: InferenceCalls;
  readonly #pool: RegionPool;
  readonly #known = new KnownOutputs();

  constructor(inference: InferenceCalls, pool: RegionPool) {
    this.#inference = inference;
    this.#pool = pool;
  }

  async run(request: PlainRequest, options: InferOptions): Promise<Tensors> {
    const layout = layOut(request.inputs, this.#known.get(request), this.#pool.isProven);
    const region = layout && (await this.#pool.acquire(layout.byteSize, options.signal));
    const shared = layout && region && (await this.#runIn(region, layout, request, options));
    describeSpan<'fusionframes.inference'>({
      'fusionframes.inference.transport': shared ? 'shared-memory' : 'message',
    });
    if (shared) {
      return shared;
    }
    const { outputs } = await this.#inference.run(request, options);
    this.#known.set(request, outputs);
    return outputs;
  }

  /** The outputs; undefined when they must be requested again in messages. */
  async #runIn(
    region: Region,
    layout: TensorLayout,
    request: PlainRequest,
    options: InferOptions,
  ): Promise<Tensors | undefined> {
    try {
      const mark = this.#pool.isProven ? undefined : await writeMark(region, layout);
      const shared = await writeInputs(region, layout, request);
      // A retry could run beside the first attempt, with both writing to the region.
      const result = await this.#inference.run(shared, { ...options, repeat: false });
      if (mark?.equals(await region.file.read(mark.position, markBytes))) {
        this.#pool.release(region);
        this.#pool.disable('the server does not write to the memory that it registered');
        return undefined;
      }
      this.#pool.isProven = true;
      const outputs = await readOutputs(region, result);
      this.#known.set(request, outputs);
      this.#pool.release(region);
      return outputs;
    } catch (thrown) {
      this.#giveBack(region, thrown, request);
      const { code } = toFusionError(thrown);
      if (isAbortError(thrown) || code === Status.DEADLINE_EXCEEDED) {
        throw thrown;
      }
      // Without shared memory the request either works or reports its own error.
      return undefined;
    }
  }

  #giveBack(region: Region, thrown: unknown, request: PlainRequest): void {
    const { code, message } = toFusionError(thrown);
    if (isAbortError(thrown) || withoutAnswer.includes(code)) {
      this.#pool.retire(region);
    } else if (code === Status.NOT_FOUND && aboutSharedMemory.test(message)) {
      this.#pool.drop(region);
    } else {
      this.#known.forget(request);
      this.#pool.release(region);
    }
  }
}

async function writeInputs(region: Region, layout: TensorLayout, request: PlainRequest): Promise<InferenceRequest> {
  const inputs: InferenceRequest['inputs'] = { ...request.inputs };
  for (const [name, { offset, bytes }] of Object.entries(layout.inputs)) {
    await region.file.write(offset, bytes);
    const { datatype, shape } = request.inputs[name]!;
    inputs[name] = { datatype, shape, from: { region: region.file.name, offset, byteSize: bytes.byteLength } };
  }
  const outputs = Object.entries(layout.outputs).map(([name, range]) => [
    name,
    range ? { into: { region: region.file.name, ...range } } : {},
  ]);
  return { ...request, inputs, outputs: Object.fromEntries(outputs) };
}

async function readOutputs(region: Region, { outputs, placed }: InferenceResult): Promise<Tensors> {
  const read = Object.entries(placed).map(async ([name, { datatype, shape, into }]) => {
    const bytes = await region.file.read(into.offset ?? 0, byteSizeOf(datatype, shape)!);
    return [name, decodeTensor(`output ${name}`, datatype, shape, bytes)];
  });
  return { ...outputs, ...Object.fromEntries(await Promise.all(read)) };
}

/** Random bytes at the place of the first output. */
async function writeMark(region: Region, layout: TensorLayout): Promise<Mark> {
  const position = Object.values(layout.outputs).find((range) => range)?.offset ?? 0;
  const mark = randomBytes(markBytes);
  await region.file.write(position, mark);
  return { position, equals: (bytes) => mark.equals(bytes) };
}
