import type { FileRange } from '../../kit/file-ranges.ts';
import type { ElementTypeName } from '../../pipeline/element-types.ts';

/** A tensor in a model's signature. */
export interface TensorSignature {
  name: string;
  /** ONNX Runtime's name of the element type, such as `float32`. */
  runtimeType: string;
  /** Whole shape; −1: variable. */
  shape: bigint[];
}

export interface ModelSignature {
  inputs: TensorSignature[];
  outputs: TensorSignature[];
}

/** What a model's operators run on. */
export type Provider = 'cpu' | 'webgpu';

/** What a worker loads. */
export interface SessionOptions {
  /** Absolute path of the `.onnx` file, with external data beside it. */
  modelFile: string;
  /** Threads that one operator may use; 0 leaves it to ONNX Runtime (one per physical core). */
  intraOpThreads: number;
  /** Default: the CPU, where operators also run that WebGPU lacks. */
  provider?: Provider;
  /** Whether ONNX Runtime may rewrite the graph. Default true. */
  isOptimized?: boolean | undefined;
  /**
   * What `writesOptimized` has written of the same model, alone in a folder, to be loaded instead; if that fails, the folder is removed
   * and `modelFile` is loaded.
   */
  optimizedFile?: string | undefined;
  /** Where the graph is written as ONNX Runtime optimizes it for any CPU, with its weights beside it. */
  writesOptimized?: string;
}

/**
 * An input of a run: its elements, or where they are, which must not be text. A buffer is transferred to the worker, so it must
 * contain only inputs of this run.
 */
export interface Feed {
  name: string;
  runtimeType: ElementTypeName;
  dims: number[];
  data: Uint8Array<ArrayBuffer> | FileRange;
}

export interface RunRequest {
  feeds: Feed[];
  /** Names of the outputs wanted. */
  fetches: string[];
  /** Where outputs are put, by name, if they fit. */
  places?: Record<string, FileRange>;
}

/** An output of a run; BYTES elements are already length-prefixed. The buffer belongs to the receiver. */
export interface Fetched {
  name: string;
  dims: number[];
  data: ArrayBuffer;
  /** Whether it is in its place instead; `data` is empty. */
  isPlaced?: boolean;
}

export interface RunResult {
  outputs: Fetched[];
  /** Time inside ONNX Runtime. */
  computeNanoseconds: bigint;
}

/** Messages to a worker, which handles one after another: load a model, run it, free it, end the thread. */
export type SessionCommand =
  | { kind: 'load'; options: SessionOptions }
  | { kind: 'run'; request: RunRequest }
  | { kind: 'close' }
  | { kind: 'end' };

/** Messages from a worker. */
export type SessionMessage =
  | { kind: 'ready'; signature: ModelSignature }
  | { kind: 'unloadable'; message: string }
  | { kind: 'done'; result: RunResult; spent: ArrayBuffer[] }
  | { kind: 'failed'; fault: 'runtime' | 'input' | 'file' | 'file end'; message: string }
  | { kind: 'closed' };
