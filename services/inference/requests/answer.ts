import type {
  InferParameter,
  ModelInferResponse,
  ModelInferResponse_InferOutputTensor as OutputTensor,
} from '../../../proto/gen/grpc_service.ts';
import { internal } from '../errors.ts';
import type { Model, ModelOutputs } from '../model.ts';
import { classify } from './classification.ts';
import type { RequestParameters } from './parameters.ts';
import type { GivenRequest } from './read-request.ts';

/**
 * The answer to a request: outputs in alphabetical order as raw bytes, except those put into shared memory. Rejects with
 * INTERNAL if a region is too small.
 */
export async function answer(given: GivenRequest, model: Model, outputs: ModelOutputs): Promise<ModelInferResponse> {
  const tensors: OutputTensor[] = [];
  const rawOutputContents: Uint8Array[] = [];
  for (const [name, output] of [...outputs].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const { classes, region } = given.outputs.get(name) ?? {};
    const isBatching = model.config.maxBatchSize > 0;
    const tensor =
      classes === undefined ? output : classify(name, output, isBatching, classes, model.labels.get(name) ?? []);
    let { data } = tensor;
    if (region && !output.isPlaced) {
      if (data.byteLength > region.byteSize) {
        throw internal(
          `shared memory size specified with the request for output '${name}' (${region.byteSize} bytes) should be at least ${data.byteLength} bytes to hold the results`,
        );
      }
      await region.write(data);
      data = new Uint8Array();
    }
    tensors.push({
      name,
      datatype: tensor.type.name,
      shape: [...tensor.shape],
      parameters: {},
      contents: undefined,
    });
    rawOutputContents.push(data);
  }
  const isEnsemble = model.config.schedulingChoice?.$case === 'ensembleScheduling';
  return {
    modelName: model.name,
    modelVersion: String(model.version),
    id: given.id,
    parameters: isEnsemble ? sequenceParameters(given.parameters) : {},
    outputs: tensors,
    rawOutputContents,
  };
}

/** An ensemble answers with the sequence parameters of its request. */
function sequenceParameters(parameters: RequestParameters): Record<string, InferParameter> {
  const { sequenceId, sequenceStart, sequenceEnd } = parameters;
  return {
    sequence_id: {
      parameterChoice:
        typeof sequenceId === 'string'
          ? { $case: 'stringParam', value: sequenceId }
          : { $case: 'int64Param', value: sequenceId },
    },
    sequence_start: { parameterChoice: { $case: 'boolParam', value: sequenceStart } },
    sequence_end: { parameterChoice: { $case: 'boolParam', value: sequenceEnd } },
  };
}
