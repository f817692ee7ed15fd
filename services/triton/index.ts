/**
 * `fusionframes/triton`: a client of the KServe v2 protocol and Triton's extensions over gRPC, for NVIDIA's server and the
 * embedded one. README.md beside this file has examples.
 */
export { FusionError } from '../kit/errors.ts';
export type { ClientTls } from '../kit/tls.ts';
export { type DataType, type Tensor, tensor } from '../pipeline/tensor.ts';
export type { CallOptions, ConnectionOptions } from './calls/connection.ts';
export type { ModelCallOptions } from './calls/model-calls.ts';
export type { LoadOptions } from './calls/repository-calls.ts';
export type { LogSettings, TraceSettings } from './calls/settings-calls.ts';
export type { CudaRegion, SystemRegion } from './calls/shared-memory-calls.ts';
export { type Class, readClasses } from './inference/classes.ts';
export type { InferOptions } from './inference/inference-calls.ts';
export type {
  InferenceRequest,
  RegionInput,
  RegionRange,
  Sequence,
  WantedOutput,
} from './inference/inference-request.ts';
export type { InferenceResult, RegionOutput } from './inference/inference-result.ts';
export type { StreamAnswer, StreamOptions } from './inference/inference-stream.ts';
export type { Parameters, ParameterValue } from './inference/parameters.ts';
export type { Datatype } from './tensors/datatypes.ts';
export {
  floatTensor,
  type TritonTensor,
  textTensor,
  toFloat32,
  toTexts,
  tritonTensor,
} from './tensors/triton-tensor.ts';
export { type InferRequest, TritonClient, type TritonOptions } from './triton-client.ts';
