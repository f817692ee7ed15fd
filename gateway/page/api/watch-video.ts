import { isFinished } from '../video-facts.ts';
import type { Video } from '../wire.ts';
import { ApiError } from './api-error.ts';
import { setReachable } from './connection.ts';
import { readEvents } from './event-stream.ts';
import { readVideo } from './objects.ts';
import { request } from './request.ts';
import { videoPath } from './videos.ts';

/** The gateway sends a comment every 15 s: a stream silent for longer than this is dead, milliseconds. */
const silenceTimeout = 40_000;
const firstPause = 250;
const longestPause = 8000;

/**
 * The job after every event, until it has finished. A broken stream is resumed after the last event received, for as
 * long as necessary. Throws errors that a retry cannot fix, such as an unknown id.
 */
export async function* watchVideo(id: string, signal: AbortSignal): AsyncGenerator<Video> {
  let lastEvent = '';
  let pause = firstPause;
  while (!signal.aborted) {
    const silence = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), silenceTimeout);
    };
    try {
      heard();
      const response = await request(`${videoPath(id)}/events`, {
        headers: { accept: 'text/event-stream', ...(lastEvent && { 'last-event-id': lastEvent }) },
        signal: AbortSignal.any([signal, silence.signal]),
      });
      if (response.status === 204) {
        // It has finished, and every event was received.
        return;
      }
      for await (const event of readEvents(response.body!, heard)) {
        lastEvent = event.id;
        pause = firstPause;
        const video = readVideo(JSON.parse(event.data));
        yield video;
        if (isFinished(video)) {
          return;
        }
      }
    } catch (error) {
      if (signal.aborted || (error instanceof ApiError && !error.passes && error.status !== 429)) {
        throw error;
      }
      setReachable(false);
    } finally {
      clearTimeout(timer);
    }
    await sleep(pause * (0.75 + Math.random() / 2), signal);
    pause = Math.min(2 * pause, longestPause);
  }
}

function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
