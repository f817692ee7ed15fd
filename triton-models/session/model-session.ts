import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import type { Tensor } from '../../services/pipeline/tensor.ts';

/** Start parameters of the worker. */
export interface SessionSettings {
  modelPath: string;
  /** Threads of one operator. */
  threads: number;
  /** Whether ONNX Runtime may rewrite the graph; otherwise nodes run as they are. */
  isOptimized: boolean;
}

export type SessionOptions = Partial<Omit<SessionSettings, 'modelPath'>>;

export interface SessionRequest {
  feeds: Record<string, Tensor>;
}

export type SessionReply =
  | { kind: 'ready' }
  | { kind: 'outputs'; outputs: Record<string, Tensor>; milliseconds: number }
  | { kind: 'failed'; message: string };

/**
 * A model on ONNX Runtime in its own thread, because `run` blocks its thread. Takes one call at a time; close it when
 * done.
 */
export class ModelSession {
  readonly #worker: Worker;
  /** Duration of the last call, in milliseconds. */
  lastRunMilliseconds = 0;

  private constructor(worker: Worker) {
    this.#worker = worker;
    // Every call is answered, even if the thread ends first (when out of memory, for example).
    const ended: SessionReply = { kind: 'failed', message: "the session's thread has ended" };
    worker.once('exit', () => worker.emit('message', ended));
  }

  /** Loads a model file. Throws FAILED_PRECONDITION with ONNX Runtime's message if it rejects the model. */
  static async open(
    modelPath: string,
    { threads = 2, isOptimized = true }: SessionOptions = {},
  ): Promise<ModelSession> {
    const workerData: SessionSettings = { modelPath, threads, isOptimized };
    const session = new ModelSession(new Worker(new URL('./session-worker.js', import.meta.url), { workerData }));
    try {
      await session.#reply();
      return session;
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  async run(feeds: Record<string, Tensor>): Promise<Record<string, Tensor>> {
    this.#worker.postMessage({ feeds } satisfies SessionRequest);
    const reply = await this.#reply();
    if (reply.kind !== 'outputs') {
      throw new FusionError(Status.INTERNAL, `The session answered ${reply.kind} to a call`);
    }
    this.lastRunMilliseconds = reply.milliseconds;
    return reply.outputs;
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  async #reply(): Promise<SessionReply> {
    const [reply] = (await once(this.#worker, 'message')) as [SessionReply];
    if (reply.kind === 'failed') {
      throw new FusionError(Status.FAILED_PRECONDITION, `ONNX Runtime: ${reply.message}`, { reason: 'MODEL_REFUSED' });
    }
    return reply;
  }
}
