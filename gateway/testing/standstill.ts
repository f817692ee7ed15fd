import { createHash } from 'node:crypto';
import { deferred } from '../../services/kit/deferred.ts';
import type { TestData } from './data.ts';
import { type TestClient, withGateway } from './gateway.ts';
import { type StageHooks, untilAborted } from './stage-doubles.ts';

/** Settings of the disturbed jobs, and of the undisturbed job they are compared with. */
export const disturbedSettings = { seed: 7n };

/** Doubles that count how often each stage starts and hang once, at the second step of one of them. */
export function standstillOnce(at: 'keyframes' | 'interpolation' | 'decoder' | undefined) {
  const begun = { encode: 0, keyframes: 0, interpolation: 0, decoder: 0 };
  const reached = deferred();
  const left = deferred();
  let isPending = at !== undefined;
  const step = (name: keyof typeof begun, first: number) => async (count: number, signal: AbortSignal) => {
    begun[name] += count === first ? 1 : 0;
    if (isPending && name === at && count === 2) {
      isPending = false;
      reached.resolve();
      await untilAborted(signal).finally(left.resolve);
    }
  };
  const hooks: StageHooks = {
    encode: async () => {
      begun.encode++;
    },
    keyframes: step('keyframes', 1),
    interpolation: step('interpolation', 1),
    decoder: step('decoder', 0),
  };
  return { hooks, begun, reached: reached.promise, left: left.promise };
}

/** Hash of a finished video's bytes. */
export async function videoOf({ client }: TestClient, id: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const { data } of client.downloadVideo({ id })) {
    hash.update(data);
  }
  return hash.digest('hex');
}

let undisturbed: Promise<string> | undefined;

/** Hash of the video for {@link disturbedSettings} without a disturbance. */
export function undisturbedVideo(): Promise<string> {
  undisturbed ??= makeVideo();
  return undisturbed;
}

async function makeVideo(): Promise<string> {
  let video = '';
  await withGateway(async (gateway) => {
    const { id } = await gateway.create(disturbedSettings);
    await gateway.watch(id);
    video = await videoOf(gateway, id);
  });
  return video;
}

/** Expires every lease, as if its owner had been silent for too long. */
export function expireLeases({ database }: TestData) {
  return database.sql`update jobs set lease_until = now() - interval '1 second' where owner is not null`;
}
