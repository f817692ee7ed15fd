import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  createFileRegistry,
  type DescMessage,
  fromBinary,
  fromJson,
  type JsonValue,
  toBinary,
  toJson,
} from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { packageRoot } from '../../services/kit/package-root.ts';

const descriptors = fromBinary(
  FileDescriptorSetSchema,
  readFileSync(join(packageRoot, 'dist', 'proto', 'gen', 'descriptors.binpb')),
);
const registry = createFileRegistry(descriptors);

/** A method by its gRPC path, with the messages that it takes and gives. */
export interface Method {
  path: string;
  input: DescMessage;
  output: DescMessage;
}

/** @param name as recorded: a method of the inference service, or `grpc.health.v1.Health/Check` */
export function methodOf(name: string): Method {
  const [serviceName, methodName] = name.includes('/')
    ? (name.split('/') as [string, string])
    : ['inference.GRPCInferenceService', name];
  const method = registry.getService(serviceName)?.methods.find((candidate) => candidate.name === methodName);
  if (!method) {
    throw new Error(`no method ${name} in the protocol`);
  }
  return { path: `/${serviceName}/${methodName}`, input: method.input, output: method.output };
}

export function encode(message: DescMessage, json: JsonValue): Buffer {
  return Buffer.from(toBinary(message, fromJson(message, json)));
}

export function decode(message: DescMessage, bytes: Uint8Array): JsonValue {
  return toJson(message, fromBinary(message, bytes), { useProtoFieldName: true });
}

/** The same message in the one spelling that {@link decode} gives: defaults left out, numbers as the format says. */
export function canonical(message: DescMessage, json: JsonValue): JsonValue {
  return toJson(message, fromJson(message, json), { useProtoFieldName: true });
}
