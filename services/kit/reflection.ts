import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { createFileRegistry, type DescFile, type FileRegistry, fromBinary, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import type { Server } from 'nice-grpc';
import { Status } from 'nice-grpc-common';
import {
  ServerReflectionDefinition,
  type ServerReflectionRequest,
  type ServerReflectionResponse,
} from '../../proto/gen/grpc/reflection/v1/reflection.ts';
import { packageRoot } from './package-root.ts';
import { withStrictText } from './strict-text.ts';

type Answer = NonNullable<ServerReflectionResponse['messageResponse']>;

/** v1alpha differs from v1 only in its package name; many tools support nothing newer. */
const definitions = ['v1', 'v1alpha'].map((version) => ({
  ...ServerReflectionDefinition,
  fullName: `grpc.reflection.${version}.ServerReflection`,
}));

/** Adds server reflection (`grpc.reflection.v1` and `v1alpha`) for the services with these full names. */
export function addReflection(server: Pick<Server, 'add'>, serviceNames: readonly string[]): void {
  for (const definition of definitions) {
    server.add(withStrictText(definition), {
      async *serverReflectionInfo(requests: AsyncIterable<ServerReflectionRequest>) {
        for await (const request of requests) {
          // Otherwise a stream of thousands of requests, for which no key is needed, would hold up everything else.
          await setImmediate();
          yield { validHost: request.host, originalRequest: request, messageResponse: answer(request, serviceNames) };
        }
      },
    });
  }
}

function answer({ messageRequest: asked }: ServerReflectionRequest, serviceNames: readonly string[]): Answer {
  switch (asked?.$case) {
    case 'listServices':
      return { $case: 'listServicesResponse', value: { service: serviceNames.map((name) => ({ name })) } };
    case 'fileByFilename':
      return file(descriptors().getFile(asked.value), 'File', asked.value);
    case 'fileContainingSymbol':
      return file(fileOfSymbol(asked.value), 'Symbol', asked.value);
    case 'fileContainingExtension': {
      const { containingType, extensionNumber } = asked.value;
      const extended = descriptors().getMessage(containingType);
      const extension = extended && descriptors().getExtensionFor(extended, extensionNumber);
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
  const service = descriptors().getService(parts.join('.'));
  const hasMethod = service?.methods.some(({ name }) => name === method);
  return hasMethod ? service?.file : descriptors().get(symbol)?.file;
}

function extensionNumbers(typeName: string): Answer {
  if (!descriptors().getMessage(typeName)) {
    return fault(Status.NOT_FOUND, `Type not found: ${typeName}`);
  }
  const extensionNumber = [...descriptors()].flatMap((type) =>
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

const encoded = new Map<DescFile, Uint8Array>();

let loaded: FileRegistry | undefined;

/** Every contract of this package. Loaded at the first request, because few servers ever get one. */
function descriptors(): FileRegistry {
  loaded ??= createFileRegistry(
    fromBinary(FileDescriptorSetSchema, readFileSync(join(packageRoot, 'dist', 'proto', 'gen', 'descriptors.binpb'))),
  );
  return loaded;
}
