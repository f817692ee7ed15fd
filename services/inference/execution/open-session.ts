import { readFile, rm } from 'node:fs/promises';
import { dirname, parse } from 'node:path';
import { InferenceSession } from 'onnxruntime-node';
import type { ModelSignature, SessionOptions, TensorSignature } from './session-messages.ts';

export interface OpenSession {
  session: InferenceSession;
  signature: ModelSignature;
  /** Inputs and outputs that are bfloat16 in the model and float32 in this session. */
  bfloat16: ReadonlySet<string>;
}

/** Loads a model file. Rejects with the runtime's error. */
export async function openSession({
  modelFile,
  intraOpThreads,
  provider = 'cpu',
  isOptimized = true,
  optimizedFile,
  writesOptimized,
}: SessionOptions): Promise<OpenSession> {
  const options: InferenceSession.SessionOptions = {
    executionProviders: [provider],
    intraOpNumThreads: intraOpThreads,
    interOpNumThreads: 1,
    // `all` is for this CPU.
    graphOptimizationLevel: writesOptimized !== undefined ? 'extended' : isOptimized ? 'all' : 'disabled',
    ...(writesOptimized !== undefined && { optimizedModelFilePath: writesOptimized }),
    // Otherwise each shape of inputs gets, with its second run, a block for all of a run's buffers, beside those of the first
    // run, which stay: more memory, and runs are no faster.
    enableMemPattern: false,
    logSeverityLevel: 4,
    extra: {
      session: {
        // Threads that spin while they wait take CPU time from other models and processes; with fewer free processors than
        // threads, runs took twice as long.
        intra_op: { allow_spinning: '0' },
        // Otherwise the arena for a run's buffers also holds the weights that are converted to float32. It doubles its size when it
        // grows, and keeps what other weights leave when they are packed for their operators.
        use_device_allocator_for_initializers: '1',
        ...(writesOptimized !== undefined && {
          optimized_model_external_initializers_file_name: `${parse(writesOptimized).name}.weights`,
        }),
      },
    },
  };
  if (optimizedFile !== undefined) {
    const session = await InferenceSession.create(optimizedFile, options).catch(async () => {
      // It or its weights are damaged, or no longer there.
      await rm(dirname(optimizedFile), { recursive: true, force: true }).catch(() => {});
    });
    if (session) {
      return { session, signature: signatureOf(session, new Set()), bfloat16: new Set() };
    }
  }
  try {
    const session = await InferenceSession.create(modelFile, options);
    return { session, signature: signatureOf(session, new Set()), bfloat16: new Set() };
  } catch (error) {
    // onnxruntime-node has no bfloat16 tensors (16 is ONNX's number of that type): such inputs and outputs pass as
    // float32, which holds every bfloat16 exactly, through casts put around the graph.
    if (!(error as Error).message.endsWith('Unsupported data type: 16')) {
      throw error;
    }
  }
  // Imported here, because few models need it and every model has a thread that would load it.
  const { bfloat16AsFloat32 } = await import('../../onnx/bfloat16-graph.ts');
  const { model, names } = bfloat16AsFloat32(await readFile(modelFile));
  const session = await InferenceSession.create(model, {
    ...options,
    extra: {
      session: {
        ...(options.extra?.session as object),
        model_external_initializers_file_folder_path: dirname(modelFile),
      },
    },
  });
  return { session, signature: signatureOf(session, names), bfloat16: names };
}

function signatureOf(session: InferenceSession, bfloat16: ReadonlySet<string>): ModelSignature {
  const describe = (metadata: readonly InferenceSession.ValueMetadata[]) =>
    metadata.map((value): TensorSignature => {
      if (!value.isTensor) {
        throw new Error(`'${value.name}' is not a tensor`);
      }
      return {
        name: value.name,
        runtimeType: bfloat16.has(value.name) ? 'bfloat16' : value.type,
        shape: value.shape.map((dimension) => (typeof dimension === 'number' ? BigInt(dimension) : -1n)),
      };
    });
  return { inputs: describe(session.inputMetadata), outputs: describe(session.outputMetadata) };
}
