import type { ModelInferResponse } from '../../../proto/gen/grpc_service.ts';
import type { Datatype } from '../tensors/datatypes.ts';
import { decodeTensor, type TritonTensor } from '../tensors/triton-tensor.ts';
import type { RegionRange, WantedOutput } from './inference-request.ts';
import { fromWireParameters, type Parameters } from './parameters.ts';

/** An output that the server put into shared memory, from the start of its range. */
export interface RegionOutput {
  datatype: Datatype;
  shape: readonly number[];
  into: RegionRange;
}

export interface InferenceResult {
  model: string;
  /** The version that ran. */
  version: string;
  /** Of the request. */
  id: string;
  parameters: Parameters;
  /** Tensors of the answer. */
  outputs: Record<string, TritonTensor>;
  /** Outputs in shared memory. */
  placed: Record<string, RegionOutput>;
}

/** Reads an answer. Throws INTERNAL naming an output whose bytes do not match its shape. */
export function readInferResponse(
  response: ModelInferResponse,
  wanted: Record<string, WantedOutput> = {},
): InferenceResult {
  const outputs: InferenceResult['outputs'] = {};
  const placed: InferenceResult['placed'] = {};
  for (const [index, { name, datatype, shape: dimensions }] of response.outputs.entries()) {
    const shape = dimensions.map(Number);
    const into = wanted[name]?.into;
    if (into) {
      placed[name] = { datatype: datatype as Datatype, shape, into };
    } else {
      const content = response.rawOutputContents[index] ?? new Uint8Array();
      outputs[name] = decodeTensor(`output ${name}`, datatype, shape, content);
    }
  }
  return {
    model: response.modelName,
    version: response.modelVersion,
    id: response.id,
    parameters: fromWireParameters(response.parameters),
    outputs,
    placed,
  };
}
