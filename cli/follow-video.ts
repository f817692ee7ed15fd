import { setTimeout as delay } from 'node:timers/promises';
import { Status } from 'nice-grpc-common';
import type { Video } from '../proto/gen/fusionframes/v1/video.ts';
import { isAbortError, toFusionError } from '../services/kit/errors.ts';
import { type GatewayClient, longCall } from './gateway-client.ts';

/** How long a gateway may be away before its job is given up, milliseconds: a restart with what it has to open. */
const maxAbsence = 60_000;

const pause = 500;

/**
 * Every change of a job, from what it is now to its end, once and in order, also across a gateway's restart. Throws
 * UNAVAILABLE when the gateway is away for more than a minute.
 */
export async function* followVideo(client: GatewayClient, id: string, signal?: AbortSignal): AsyncGenerator<Video> {
  let resumeToken = '';
  let absentSince: number | undefined;
  for (;;) {
    const began = Date.now();
    try {
      const options = { deadline: longCall, ...(signal && { signal }) };
      for await (const change of client.watchVideo({ id, resumeToken }, options)) {
        ({ resumeToken } = change);
        yield change.video as Video;
        absentSince = undefined;
      }
      return;
    } catch (error) {
      const passing = !isAbortError(error) && toFusionError(error).code === Status.UNAVAILABLE;
      // A job that waits brings no news: what lasted was a connection.
      absentSince = Date.now() - began > maxAbsence ? Date.now() : (absentSince ?? Date.now());
      if (!passing || Date.now() - absentSince > maxAbsence) {
        throw error;
      }
      await delay(pause, undefined, signal ? { signal } : {});
    }
  }
}
