import type { QueuePlace, Video } from '../gateway/client/video.ts';
import type { VideoClient } from '../gateway/client/video-client.ts';
import { formatSeconds } from './units.ts';

const lookMilliseconds = 2000;

/** Whether it makes room for another video and will continue where it stopped. */
export function isPaused({ state, pauses }: Pick<Video, 'state' | 'pauses'>): boolean {
  return state === 'queued' && pauses > 0;
}

/** `position 3, starts in about 40 s, ready in about 2 min` */
export function describePlace({ position, startsAt, readyAt }: QueuePlace): string {
  return [
    `position ${position}`,
    ...(startsAt ? [`starts in about ${formatSeconds(secondsTo(startsAt))}`] : []),
    ...(readyAt ? [`ready in about ${formatSeconds(secondsTo(readyAt))}`] : []),
  ].join(', ');
}

function secondsTo(time: Date): number {
  return Math.max(1, Math.round((time.getTime() - Date.now()) / 1000));
}

/**
 * Polls a queued video every two seconds, because a change of its place sends no event. Pass it every event; it passes
 * these on, and the places it reads in between.
 */
export function followPlace(client: VideoClient, onUpdate: (video: Video) => void) {
  let last: Video | undefined;
  const look = async () => {
    const before = last;
    const video = before?.state === 'queued' ? await client.get(before.id).catch(() => undefined) : undefined;
    if (video?.state === 'queued' && before === last) {
      onUpdate(video);
    }
  };
  const timer = setInterval(() => void look(), lookMilliseconds);
  return {
    update(video: Video): void {
      last = video;
      onUpdate(video);
    },
    end: () => clearInterval(timer),
  };
}
