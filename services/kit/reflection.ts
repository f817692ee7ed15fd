import { setImmediate } from 'node:timers/promises';
import type { Server } from 'nice-grpc';
import {
  ServerReflectionDefinition,
  type ServerReflectionRequest,
} from '../../proto/gen/grpc/reflection/v1/reflection.ts';
import { withStrictText } from './strict-text.ts';

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
          // Loaded at the first request, because few servers ever get one.
          const { answerReflection } = await import('./reflection-answers.ts');
          const messageResponse = answerReflection(request, serviceNames);
          yield { validHost: request.host, originalRequest: request, messageResponse };
        }
      },
    });
  }
}
