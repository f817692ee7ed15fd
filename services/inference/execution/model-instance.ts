import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { type Deferred, deferred } from '../../kit/deferred.ts';
import type { FusionError } from '../../kit/errors.ts';
import { internal, invalidArgument } from '../errors.ts';
import type {
  ModelSignature,
  RunRequest,
  RunResult,
  SessionCommand,
  SessionMessage,
  SessionOptions,
} from './session-messages.ts';

const loadSeconds = 600;

/** One copy of a model, loaded in its own worker thread so that a run does not block the event loop. */
export class ModelInstance {
  readonly signature: ModelSignature;
  /** @internal Tests crash it. */
  readonly worker: Worker;
  #running: Deferred<RunResult> | undefined;
  #hasEnded = false;
  /** Called once when the worker has ended, for any reason. */
  onEnd: () => void = () => {};

  /** Loads the model. Rejects with INTERNAL and the runtime's message on failure. */
  static async start(options: SessionOptions): Promise<ModelInstance> {
    const worker = new Worker(new URL('./session-worker.js', import.meta.url), { workerData: options });
    const loaded = deferred<ModelSignature>();
    const fail = (error: FusionError) => loaded.reject(error);
    const timer = setTimeout(() => fail(internal(`loading took longer than ${loadSeconds} s`)), loadSeconds * 1000);
    worker.once('message', (message: SessionMessage) => {
      if (message.kind === 'ready') {
        loaded.resolve(message.signature);
      } else {
        fail(internal(`onnx runtime error: ${message.kind === 'unloadable' ? message.message : message.kind}`));
      }
    });
    worker.once('error', (error) => fail(internal(`the model's worker failed: ${error.message}`)));
    worker.once('exit', (code) => fail(internal(`the model's worker ended with code ${code} while loading`)));
    try {
      return new ModelInstance(worker, await loaded.promise);
    } catch (error) {
      requestEnd(worker);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  private constructor(worker: Worker, signature: ModelSignature) {
    this.worker = worker;
    this.signature = signature;
    worker.on('message', (message: SessionMessage) => this.#settle(message));
    worker.on('error', (error) => this.#end(`the model's worker failed: ${error.message}`));
    worker.on('exit', () => this.#end("the model's worker ended during the run"));
  }

  get isIdle(): boolean {
    return this.#running === undefined && !this.#hasEnded;
  }

  /**
   * Runs the model; the feeds' buffers are transferred. One run at a time. Rejects with INTERNAL if the runtime fails or the
   * worker dies, and with INVALID_ARGUMENT for data that is not a valid tensor.
   */
  run(request: RunRequest): Promise<RunResult> {
    this.#running = deferred<RunResult>();
    const buffers = request.feeds.map((feed) => feed.data);
    this.worker.postMessage({ kind: 'run', request } satisfies SessionCommand, buffers);
    return this.#running.promise;
  }

  /** Frees the model after a run in progress. */
  async close(): Promise<void> {
    if (!this.#hasEnded) {
      const ended = once(this.worker, 'exit');
      requestEnd(this.worker);
      await ended;
    }
  }

  #settle(message: SessionMessage): void {
    const running = this.#running;
    this.#running = undefined;
    if (message.kind === 'done') {
      running?.resolve(message.result);
    } else if (message.kind === 'failed') {
      running?.reject(
        message.invalidInput ? invalidArgument(message.message) : internal(`onnx runtime error: ${message.message}`),
      );
    }
  }

  #end(reason: string): void {
    if (this.#hasEnded) {
      return;
    }
    this.#hasEnded = true;
    this.#running?.reject(internal(reason));
    this.#running = undefined;
    this.onEnd();
  }
}

/** Not `worker.terminate()`, which crashes the process inside the runtime's native code. */
function requestEnd(worker: Worker): void {
  worker.postMessage({ kind: 'close' } satisfies SessionCommand);
}
