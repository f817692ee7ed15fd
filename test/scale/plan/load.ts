import { setTimeout as sleep } from 'node:timers/promises';
import { JobState, type Video } from '../../../proto/gen/fusionframes/v1/video.ts';
import type { SleepingMesh } from './sleeping-mesh.ts';

/** How often a job is polled for its end, milliseconds. */
const interval = 500;

let made = 0;

/** Creates videos at these times, seconds; returns them in that order, ended. */
export async function loadMesh({ client }: SleepingMesh, arrivals: readonly number[]): Promise<Video[]> {
  const start = performance.now();
  const ended = arrivals.map(async (arrival) => {
    await sleep(Math.max(0, start + arrival * 1000 - performance.now()));
    let { video } = await client.createVideo({ settings: { prompt: nextPrompt() } });
    while (video!.state === JobState.JOB_STATE_QUEUED || video!.state === JobState.JOB_STATE_RUNNING) {
      await sleep(interval);
      ({ video } = await client.getVideo({ id: video!.id }));
    }
    if (video!.state !== JobState.JOB_STATE_SUCCEEDED) {
      throw new Error(`a video ended in state ${video!.state}: ${video!.failure?.reason}`);
    }
    return video!;
  });
  return await Promise.all(ended);
}

/** From the creation of a video to its end, seconds, as its gateway reports. */
export function latencyOf({ createdAt, finishedAt }: Video): number {
  return (finishedAt!.getTime() - createdAt!.getTime()) / 1000;
}

const words = ['on', 'red', 'blue', 'a', 'left', 'up', 'large', 'small', 'navy', 'teal'];

/** No prompt twice: the text encoder caches encodings. */
function nextPrompt(): string {
  return [...String(made++)].map((digit) => words[Number(digit)]).join(' ');
}
