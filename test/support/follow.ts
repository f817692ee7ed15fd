import { setTimeout as pause } from 'node:timers/promises';
import { Status } from 'nice-grpc-common';
import type { TestClient } from '../../gateway/testing/gateway.ts';
import type { WatchVideoResponse } from '../../proto/gen/fusionframes/v1/video.ts';
import { FusionError } from '../../services/kit/errors.ts';

const pauseMilliseconds = 100;

/** Calls any of several gateways, in turn while they are unavailable or `mayPass` says so. Throws other errors. */
export async function persist<T>(
  clients: readonly TestClient[],
  call: (client: TestClient) => Promise<T>,
  signal: AbortSignal,
  mayPass: (error: FusionError) => boolean = ({ code }) => code === Status.UNAVAILABLE,
): Promise<T> {
  for (let turn = 0; ; turn++) {
    try {
      return await call(clients[turn % clients.length]!);
    } catch (error) {
      if (!(error instanceof FusionError && mayPass(error))) {
        throw error;
      }
    }
    await pause(pauseMilliseconds, undefined, { signal });
  }
}

/**
 * Watches a job from its first change to its end at any of several gateways, resuming with the last token like a
 * careful client. Passes every change to `onChange` and returns them all.
 */
export async function follow(
  clients: readonly TestClient[],
  id: string,
  signal: AbortSignal,
  onChange: (change: WatchVideoResponse) => void = () => {},
): Promise<WatchVideoResponse[]> {
  const seen: WatchVideoResponse[] = [];
  await persist(
    clients,
    async ({ client }) => {
      const resumeToken = seen.at(-1)?.resumeToken ?? '0';
      for await (const change of client.watchVideo({ id, resumeToken }, { signal })) {
        seen.push(change);
        onChange(change);
      }
    },
    signal,
  );
  return seen;
}
