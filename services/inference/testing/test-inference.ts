import { GRPCInferenceServiceDefinition, ModelInferRequest } from '../../../proto/gen/grpc_service.ts';
import { connect } from '../../kit/channel.ts';
import { createLogger } from '../../kit/log.ts';
import type { TestScope } from '../../kit/testing/test-scope.ts';
import { type InferenceServerOptions, startInferenceServer } from '../server.ts';
import { doublingModel, folderOf, slowModel } from '../testing.ts';

/** Starts a server on a repository of these files, with a client; both end with the scope. */
export async function startTestInference(
  scope: TestScope,
  files: Record<string, string | Uint8Array>,
  options: Partial<InferenceServerOptions> = {},
) {
  const { folder, remove } = folderOf(files);
  scope.defer(remove);
  const server = await startInferenceServer({
    address: '127.0.0.1:0',
    repository: folder,
    log: createLogger('test', 'silent'),
    intraOpThreads: 1,
    ...options,
  });
  scope.add(server);
  const connection = connect(GRPCInferenceServiceDefinition, server.address);
  scope.add(connection);
  return { client: connection.client, address: server.address, folder, stop: () => server.stop() };
}

const slowConfig = `backend: "onnxruntime" max_batch_size: 0
  input { name: "X" data_type: TYPE_FP32 dims: [ -1, -1 ] } output { name: "Y" data_type: TYPE_FP32 dims: [ -1, -1 ] }`;
export const slowFiles = { 'slow/1/model.onnx': slowModel(500), 'slow/config.pbtxt': slowConfig };

/** A request for a model of one input, all zeros. */
export function infer(modelName: string, shape: bigint[]): ModelInferRequest {
  const elements = Number(shape.reduce((product, dimension) => product * dimension, 1n));
  return ModelInferRequest.fromPartial({
    modelName,
    inputs: [{ name: 'X', datatype: 'FP32', shape }],
    rawInputContents: [new Uint8Array(elements * 4)],
  });
}

const tensors =
  'input { name: "X" data_type: TYPE_FP32 dims: [ -1 ] } output { name: "Y" data_type: TYPE_FP32 dims: [ -1 ]';
/** The files of a model `m` that doubles its input, with more configuration. */
export const doubling = (more: string, output = '') => ({
  'm/1/model.onnx': doublingModel(),
  'm/config.pbtxt': `backend: "onnxruntime" max_batch_size: 4 ${tensors} ${output} } ${more}`,
});
