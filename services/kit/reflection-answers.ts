import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  createFileRegistry,
  type DescFile,
  type FileRegistry,
  fromBinary,
  fromJsonString,
  toBinary,
  toJsonString,
} from '@bufbuild/protobuf';
import { type FileDescriptorProto, FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { Status } from 'nice-grpc-common';
import type {
  ServerReflectionRequest,
  ServerReflectionResponse,
} from '../../proto/gen/grpc/reflection/v1/reflection.ts';
import { packageRoot } from './package-root.ts';

type Answer = NonNullable<ServerReflectionResponse['messageResponse']>;

/** Every contract of this package. */
const descriptors = readDescriptors();
const encoded = new Map<DescFile, Uint8Array>();

/** Answers a reflection request to a server of the services with these full names. */
export function answerReflection(
  { messageRequest: asked }: ServerReflectionRequest,
  serviceNames: readonly string[],
): Answer {
  switch (asked?.$case) {
    case 'listServices':
      return { $case: 'listServicesResponse', value: { service: serviceNames.map((name) => ({ name })) } };
    case 'fileByFilename':
      return file(descriptors.getFile(asked.value), 'File', asked.value);
    case 'fileContainingSymbol':
      return file(fileOfSymbol(asked.value), 'Symbol', asked.value);
    case 'fileContainingExtension': {
      const { containingType, extensionNumber } = asked.value;
      const extended = descriptors.getMessage(containingType);
      const extension = extended && descriptors.getExtensionFor(extended, extensionNumber);
      return file(extension?.file, 'Extension', `${containingType}(${extensionNumber})`);
    }
    case 'allExtensionNumbersOfType':
      return extensionNumbers(asked.value);
    case undefined:
      return fault(Status.INVALID_ARGUMENT, '`message_request` is required');
  }
}

/** @param symbol full name of a type, service or method */
function fileOfSymbol(symbol: string): DescFile | undefined {
  const parts = symbol.split('.');
  const method = parts.pop();
  const service = descriptors.getService(parts.join('.'));
  const hasMethod = service?.methods.some(({ name }) => name === method);
  return hasMethod ? service?.file : descriptors.get(symbol)?.file;
}

function extensionNumbers(typeName: string): Answer {
  if (!descriptors.getMessage(typeName)) {
    return fault(Status.NOT_FOUND, `Type not found: ${typeName}`);
  }
  const extensionNumber = [...descriptors].flatMap((type) =>
    type.kind === 'extension' && type.extendee.typeName === typeName ? [type.number] : [],
  );
  return { $case: 'allExtensionNumbersResponse', value: { baseTypeName: typeName, extensionNumber } };
}

function file(found: DescFile | undefined, kind: string, name: string): Answer {
  if (!found) {
    return fault(Status.NOT_FOUND, `${kind} not found: ${name}`);
  }
  const bytes = encoded.get(found) ?? toBinary(FileDescriptorProtoSchema, found.proto);
  encoded.set(found, bytes);
  return { $case: 'fileDescriptorResponse', value: { fileDescriptorProto: [bytes] } };
}

function fault(code: Status, message: string): Answer {
  return { $case: 'errorResponse', value: { errorCode: code, errorMessage: message } };
}

function readDescriptors(): FileRegistry {
  const bytes = readFileSync(join(packageRoot, 'dist', 'proto', 'gen', 'descriptors.binpb'));
  const set = fromBinary(FileDescriptorSetSchema, bytes);
  const reflection = set.file.find(({ name }) => name === 'grpc/reflection/v1/reflection.proto')!;
  return createFileRegistry({ ...set, file: [...set.file, toV1Alpha(reflection)] });
}

/** The same contract in the package of v1alpha. */
function toV1Alpha(file: FileDescriptorProto): FileDescriptorProto {
  const text = toJsonString(FileDescriptorProtoSchema, file);
  return fromJsonString(
    FileDescriptorProtoSchema,
    text.replace(/grpc([./])reflection\1v1\b/g, 'grpc$1reflection$1v1alpha'),
  );
}
