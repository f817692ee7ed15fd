import type { Worker } from 'node:worker_threads';
import { type Deferred, deferred } from '../../kit/deferred.ts';
import type { FusionError } from '../../kit/errors.ts';
import { keepSpare } from '../../kit/spare-buffers.ts';
import { internal, invalidArgument } from '../errors.ts';
import { regionTooShort } from '../shared-memory.ts';
import type {
  ModelSignature,
  RunRequest,
  RunResult,
  SessionCommand,
  SessionMessage,
  SessionOptions,
} from './session-messages.ts';
import { endThread, keepThread, takeThread } from './session-threads.ts';
import { inWebGpuTurn } from './web-gpu-turns.ts';

const loadSeconds = 600;

/** One copy of a model, loaded in a worker thread of its own so that a run does not block the event loop. */
export class ModelInstance {
  readonly signature: ModelSignature;
  /** @internal Tests crash it. */
  readonly worker: Worker;
  readonly #options: SessionOptions;
  #running: Deferred<RunResult> | undefined;
  #isClosing = false;
  #hasEnded = false;
  readonly #ended = deferred();
  /** Called once when the instance was closed or its worker has ended. */
  onEnd: () => void = () => {};

  /** Loads the model. Rejects with INTERNAL and the runtime's message on failure. */
  static start(options: SessionOptions): Promise<ModelInstance> {
    return inTurn(options, () => ModelInstance.#load(options));
  }

  static async #load(options: SessionOptions): Promise<ModelInstance> {
    const worker = takeThread();
    const loaded = deferred<ModelSignature>();
    const fail = (reason: string) => {
      loaded.reject(internal(reason));
      endThread(worker);
    };
    const timer = setTimeout(() => fail(`loading took longer than ${loadSeconds} s`), loadSeconds * 1000);
    worker.once('message', (message: SessionMessage) => {
      if (message.kind === 'ready') {
        loaded.resolve(message.signature);
      } else {
        loaded.reject(
          internal(`onnx runtime error: ${message.kind === 'unloadable' ? message.message : message.kind}`),
        );
        keepThread(worker);
      }
    });
    worker.once('error', (error) => fail(`the model's worker failed: ${error.message}`));
    worker.once('exit', (code) => fail(`the model's worker ended with code ${code} while loading`));
    worker.postMessage({ kind: 'load', options } satisfies SessionCommand);
    try {
      return new ModelInstance(worker, await loaded.promise, options);
    } finally {
      clearTimeout(timer);
    }
  }

  private constructor(worker: Worker, signature: ModelSignature, options: SessionOptions) {
    this.#options = options;
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
   * Runs the model; the feeds' buffers are transferred. One run at a time. Rejects with INTERNAL if the runtime fails, the
   * worker dies or a file ends too early, and with INVALID_ARGUMENT for data that is not a valid tensor.
   */
  run(request: RunRequest): Promise<RunResult> {
    const running = deferred<RunResult>();
    this.#running = running;
    // The worker may end before its turn.
    running.promise.catch(() => {});
    const buffers = new Set(request.feeds.flatMap(({ data }) => ('buffer' in data ? [data.buffer] : [])));
    return inTurn(this.#options, () => {
      this.worker.postMessage({ kind: 'run', request } satisfies SessionCommand, [...buffers]);
      return running.promise;
    });
  }

  /** Frees the model after a run in progress. */
  close(): Promise<void> {
    if (!this.#isClosing && !this.#hasEnded) {
      this.#isClosing = true;
      void inTurn(this.#options, () => {
        this.worker.postMessage({ kind: 'close' } satisfies SessionCommand);
        return this.#ended.promise;
      });
    }
    return this.#ended.promise;
  }

  #settle(message: SessionMessage): void {
    const running = this.#running;
    this.#running = undefined;
    if (message.kind === 'done') {
      message.spent.forEach(keepSpare);
      running?.resolve(message.result);
    } else if (message.kind === 'failed') {
      running?.reject(failureOf(message));
    } else if (message.kind === 'closed') {
      keepThread(this.worker);
      this.#end('the model was closed');
    }
  }

  #end(reason: string): void {
    if (this.#hasEnded) {
      return;
    }
    this.#hasEnded = true;
    this.#running?.reject(internal(reason));
    this.#running = undefined;
    this.#ended.resolve();
    this.onEnd();
  }
}

function inTurn<T>({ provider }: SessionOptions, work: () => Promise<T>): Promise<T> {
  return provider === 'webgpu' ? inWebGpuTurn(work) : work();
}

function failureOf({ fault, message }: SessionMessage & { kind: 'failed' }): FusionError {
  switch (fault) {
    case 'input':
      return invalidArgument(message);
    case 'file':
      return internal(message);
    case 'file end':
      return regionTooShort();
    case 'runtime':
      return internal(`onnx runtime error: ${message}`);
  }
}
