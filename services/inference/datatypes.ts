import { DataType } from '../../proto/gen/model_config.ts';

/** An element type of tensors, under its names in the protocol, in model configurations and in ONNX Runtime. */
export interface ElementType {
  /** In requests and answers. */
  readonly name: string;
  /** In `config.pbtxt`. */
  readonly configType: DataType;
  /** In onnxruntime-node. */
  readonly runtimeName: string;
  /** Bytes of an element; 0 for BYTES, whose elements are a 4-byte length and that many bytes. */
  readonly size: number;
}

const elementTypes: readonly ElementType[] = [
  { name: 'BOOL', configType: DataType.TYPE_BOOL, runtimeName: 'bool', size: 1 },
  { name: 'UINT8', configType: DataType.TYPE_UINT8, runtimeName: 'uint8', size: 1 },
  { name: 'UINT16', configType: DataType.TYPE_UINT16, runtimeName: 'uint16', size: 2 },
  { name: 'UINT32', configType: DataType.TYPE_UINT32, runtimeName: 'uint32', size: 4 },
  { name: 'UINT64', configType: DataType.TYPE_UINT64, runtimeName: 'uint64', size: 8 },
  { name: 'INT8', configType: DataType.TYPE_INT8, runtimeName: 'int8', size: 1 },
  { name: 'INT16', configType: DataType.TYPE_INT16, runtimeName: 'int16', size: 2 },
  { name: 'INT32', configType: DataType.TYPE_INT32, runtimeName: 'int32', size: 4 },
  { name: 'INT64', configType: DataType.TYPE_INT64, runtimeName: 'int64', size: 8 },
  { name: 'FP16', configType: DataType.TYPE_FP16, runtimeName: 'float16', size: 2 },
  { name: 'FP32', configType: DataType.TYPE_FP32, runtimeName: 'float32', size: 4 },
  { name: 'FP64', configType: DataType.TYPE_FP64, runtimeName: 'float64', size: 8 },
  { name: 'BYTES', configType: DataType.TYPE_STRING, runtimeName: 'string', size: 0 },
  { name: 'BF16', configType: DataType.TYPE_BF16, runtimeName: 'bfloat16', size: 2 },
];

const byName = new Map(elementTypes.map((type) => [type.name, type]));
const byConfigType = new Map(elementTypes.map((type) => [type.configType, type]));
const byRuntimeName = new Map(elementTypes.map((type) => [type.runtimeName, type]));

/** The type that a request names; `undefined` for any other text. */
export function elementTypeNamed(name: string): ElementType | undefined {
  return byName.get(name);
}

/** The type of a configuration's tensor; `undefined` for TYPE_INVALID. */
export function elementTypeOfConfig(type: DataType): ElementType | undefined {
  return byConfigType.get(type);
}

/** The type of a tensor of an ONNX model; `undefined` for one that the protocol lacks. */
export function elementTypeOfRuntime(name: string): ElementType | undefined {
  return byRuntimeName.get(name);
}
