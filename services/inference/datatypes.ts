import { DataType } from '../../proto/gen/model_config.ts';
import {
  bytesPerElement,
  type ElementTypeName,
  elementTypeNames,
  elementTypes as table,
} from '../pipeline/element-types.ts';

/** An element type of tensors, under its names in the protocol, in model configurations and in ONNX Runtime. */
export interface ElementType {
  /** In requests and answers. */
  readonly name: string;
  /** In `config.pbtxt`. */
  readonly configType: DataType;
  /** In onnxruntime-node. */
  readonly runtimeName: ElementTypeName;
  /** Bytes of an element; 0 for BYTES, whose elements have a 4-byte length and that many bytes. */
  readonly size: number;
}

const elementTypes = elementTypeNames.map((runtimeName): ElementType => {
  const { triton: name, config } = table[runtimeName];
  return {
    name,
    configType: DataType[config],
    runtimeName,
    size: runtimeName === 'string' ? 0 : bytesPerElement(runtimeName),
  };
});

const byName = new Map(elementTypes.map((type) => [type.name, type]));
const byConfigType = new Map(elementTypes.map((type) => [type.configType, type]));
const byRuntimeName = new Map<string, ElementType>(elementTypes.map((type) => [type.runtimeName, type]));

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
