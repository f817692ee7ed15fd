import { Status } from 'nice-grpc-common';
import { ModelInstance } from '../../services/inference/execution/model-instance.ts';
import { FusionError } from '../../services/kit/errors.ts';
import { type Tensor, tensorBytes, tensorFromBytes } from '../../services/pipeline/tensor.ts';

export interface SessionOptions {
  /** Threads of one operator. Default 2. */
  threads?: number | undefined;
  /** Whether ONNX Runtime may rewrite the graph; otherwise nodes run as they are. Default true. */
  isOptimized?: boolean | undefined;
}

/** A model on ONNX Runtime, as the embedded server runs it. Takes one call at a time; close it when done. */
export class ModelSession {
  readonly #instance: ModelInstance;
  /** Time of the last call inside ONNX Runtime. */
  lastRunMilliseconds = 0;

  private constructor(instance: ModelInstance) {
    this.#instance = instance;
  }

  /** Loads a model file. Throws FAILED_PRECONDITION with ONNX Runtime's message if it rejects the model. */
  static async open(modelFile: string, { threads = 2, isOptimized }: SessionOptions = {}): Promise<ModelSession> {
    return new ModelSession(await refusing(ModelInstance.start({ modelFile, intraOpThreads: threads, isOptimized })));
  }

  /** Returns all outputs of the model. Throws FAILED_PRECONDITION with ONNX Runtime's message if it rejects the call. */
  async run(feeds: Record<string, Tensor>): Promise<Record<string, Tensor>> {
    const { outputs } = this.#instance.signature;
    const request = {
      feeds: Object.entries(feeds).map(([name, tensor]) => ({
        name,
        runtimeType: tensor.dataType,
        dims: [...tensor.shape],
        // A copy, because the buffer goes to the model's thread.
        data: new Uint8Array(tensorBytes(tensor)),
      })),
      fetches: outputs.map(({ name }) => name),
    };
    const result = await refusing(this.#instance.run(request));
    this.lastRunMilliseconds = Number(result.computeNanoseconds) / 1e6;
    return Object.fromEntries(
      result.outputs.map(({ name, dims, data }, index) => [
        name,
        tensorFromBytes(outputs[index]!.runtimeType as Tensor['dataType'], dims, new Uint8Array(data)),
      ]),
    );
  }

  /** Frees the model after the call in progress. */
  close(): Promise<void> {
    return this.#instance.close();
  }
}

async function refusing<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw new FusionError(Status.FAILED_PRECONDITION, (error as Error).message, { reason: 'MODEL_REFUSED' });
  }
}
