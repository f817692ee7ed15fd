import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { TensorProto_DataType } from '../../proto/gen/onnx/onnx.ts';

// Field numbers of onnx.proto. Messages are rewritten field by field: decoded and encoded with the part of the schema that
// is known here, they would lose the rest.
const modelGraph = 7;
const graphNode = 1;
const graphInput = 11;
const graphOutput = 12;
const { FLOAT: float32, BFLOAT16: bfloat16 } = TensorProto_DataType;

/**
 * The same model with float32 in place of every bfloat16 input and output, cast at the graph's edges. Names stay.
 *
 * @param model bytes of an ONNX `ModelProto`
 * @returns the new bytes, and the names of the tensors concerned
 */
export function bfloat16AsFloat32(model: Uint8Array): { model: Uint8Array; names: ReadonlySet<string> } {
  const names = new Set<string>();
  const writer = new BinaryWriter();
  for (const field of fieldsOf(model)) {
    if (field.number === modelGraph) {
      writer.tag(modelGraph, WireType.LengthDelimited).bytes(rewriteGraph(field.content, names));
    } else {
      writer.raw(field.whole);
    }
  }
  return { model: writer.finish(), names };
}

/**
 * A bfloat16 edge `X` of the graph becomes float32 under the same name; the nodes inside read and write `X/bfloat16`
 * instead, and casts join the two.
 */
function rewriteGraph(graph: Uint8Array, names: Set<string>): Uint8Array {
  const fields = [...fieldsOf(graph)];
  const edges = fields.filter((field) => field.number === graphInput || field.number === graphOutput);
  const inputs = new Set<string>();
  for (const { number, content } of edges) {
    const value = readValueInfo(content);
    if (value.elementType === bfloat16) {
      names.add(value.name);
      if (number === graphInput) {
        inputs.add(value.name);
      }
    }
  }
  const writer = new BinaryWriter();
  for (const name of inputs) {
    writer.tag(graphNode, WireType.LengthDelimited).bytes(castNode(name, inner(name), bfloat16));
  }
  for (const field of fields) {
    if (field.number === graphNode) {
      writer.tag(graphNode, WireType.LengthDelimited).bytes(renameReferences(field.content, names));
    } else if (edges.includes(field) && names.has(readValueInfo(field.content).name)) {
      writer.tag(field.number, WireType.LengthDelimited).bytes(asFloat32(field.content));
    } else {
      writer.raw(field.whole);
    }
  }
  for (const name of names) {
    if (!inputs.has(name)) {
      writer.tag(graphNode, WireType.LengthDelimited).bytes(castNode(inner(name), name, float32));
    }
  }
  return writer.finish();
}

function inner(name: string): string {
  return `${name}/bfloat16`;
}

/** Renames a node's inputs (1) and outputs (2), also inside the subgraphs of its attributes (5). */
function renameReferences(node: Uint8Array, names: ReadonlySet<string>): Uint8Array {
  const writer = new BinaryWriter();
  for (const { number, content, whole } of fieldsOf(node)) {
    const name = number === 1 || number === 2 ? new TextDecoder().decode(content) : undefined;
    if (name !== undefined && names.has(name)) {
      writer.tag(number, WireType.LengthDelimited).string(inner(name));
    } else if (number === 5) {
      writer.tag(5, WireType.LengthDelimited).bytes(renameInAttribute(content, names));
    } else {
      writer.raw(whole);
    }
  }
  return writer.finish();
}

/** Fields 6 and 11 of an attribute are its subgraphs. */
function renameInAttribute(attribute: Uint8Array, names: ReadonlySet<string>): Uint8Array {
  const writer = new BinaryWriter();
  for (const { number, content, whole } of fieldsOf(attribute)) {
    if (number !== 6 && number !== 11) {
      writer.raw(whole);
      continue;
    }
    const graph = new BinaryWriter();
    for (const field of fieldsOf(content)) {
      if (field.number === graphNode) {
        graph.tag(graphNode, WireType.LengthDelimited).bytes(renameReferences(field.content, names));
      } else {
        graph.raw(field.whole);
      }
    }
    writer.tag(number, WireType.LengthDelimited).bytes(graph.finish());
  }
  return writer.finish();
}

function castNode(input: string, output: string, to: number): Uint8Array {
  const attribute = new BinaryWriter();
  attribute.tag(1, WireType.LengthDelimited).string('to');
  attribute.tag(3, WireType.Varint).int64(to);
  attribute.tag(20, WireType.Varint).int32(2);
  const node = new BinaryWriter();
  node.tag(1, WireType.LengthDelimited).string(input);
  node.tag(2, WireType.LengthDelimited).string(output);
  node.tag(4, WireType.LengthDelimited).string('Cast');
  node.tag(5, WireType.LengthDelimited).bytes(attribute.finish());
  return node.finish();
}

interface ValueInfo {
  name: string;
  elementType: number | undefined;
  shape: Uint8Array | undefined;
}

function readValueInfo(valueInfo: Uint8Array): ValueInfo {
  const value: ValueInfo = { name: '', elementType: undefined, shape: undefined };
  for (const { number, content } of fieldsOf(valueInfo)) {
    if (number === 1) {
      value.name = new TextDecoder().decode(content);
    }
    if (number === 2) {
      const tensorType = [...fieldsOf(content)].find((field) => field.number === 1);
      for (const field of tensorType ? fieldsOf(tensorType.content) : []) {
        if (field.number === 1) {
          value.elementType = new BinaryReader(field.content).int32();
        } else if (field.number === 2) {
          value.shape = field.content;
        }
      }
    }
  }
  return value;
}

function asFloat32(valueInfo: Uint8Array): Uint8Array {
  const { name, shape } = readValueInfo(valueInfo);
  const tensorType = new BinaryWriter().tag(1, WireType.Varint).int32(float32);
  if (shape) {
    tensorType.tag(2, WireType.LengthDelimited).bytes(shape);
  }
  const type = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(tensorType.finish());
  return new BinaryWriter()
    .tag(1, WireType.LengthDelimited)
    .string(name)
    .tag(2, WireType.LengthDelimited)
    .bytes(type.finish())
    .finish();
}

interface Field {
  number: number;
  /** The bytes after the tag, and after the length where there is one. */
  content: Uint8Array;
  /** Tag and content. */
  whole: Uint8Array;
}

function* fieldsOf(message: Uint8Array): Generator<Field> {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const [number, wireType] = reader.tag();
    const afterTag = reader.pos;
    if (wireType === WireType.LengthDelimited) {
      yield { number, content: reader.bytes(), whole: message.subarray(start, reader.pos) };
    } else {
      reader.skip(wireType);
      yield { number, content: message.subarray(afterTag, reader.pos), whole: message.subarray(start, reader.pos) };
    }
  }
}
