import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Server } from 'nice-grpc';
import { ServerReflection, ServerReflectionService } from 'nice-grpc-server-reflection';
import { packageRoot } from './package-root.ts';

const { serverReflectionInfo } = ServerReflectionService;

/** v1alpha differs from v1 only in its package name; many tools support nothing newer. */
const definitions = ['v1', 'v1alpha'].map((version) => ({
  serverReflectionInfo: {
    ...serverReflectionInfo,
    path: serverReflectionInfo.path.replace('.v1.', `.${version}.`) as typeof serverReflectionInfo.path,
  },
}));

type Reflection = ReturnType<typeof ServerReflection>;

/** Adds server reflection (`grpc.reflection.v1` and `v1alpha`) for the services with these full names. */
export function addReflection(server: Server, serviceNames: string[]): void {
  let loaded: Reflection | undefined;
  const reflection: Reflection = {
    // The descriptors take a tenth of a second to read; few servers are ever asked.
    serverReflectionInfo: (...call) => {
      loaded ??= ServerReflection(readDescriptors(), serviceNames);
      return loaded.serverReflectionInfo(...call);
    },
  };
  for (const definition of definitions) {
    server.add(definition, reflection as never);
  }
}

function readDescriptors(): Uint8Array {
  return readFileSync(join(packageRoot, 'dist', 'proto', 'gen', 'descriptors.binpb'));
}
