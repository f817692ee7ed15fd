import { formatSeconds, formatSize } from '../formats.ts';
import { type StageView, stageName } from '../pipeline.ts';
import { isCancelled } from '../video-facts.ts';
import type { Video } from '../wire.ts';

/** The state of a job, in one word. */
export function stateName(video: Video): 'queued' | 'paused' | 'running' | 'done' | 'failed' | 'cancelled' {
  switch (video.status) {
    case 'queued':
      return video.pauses > 0 ? 'paused' : 'queued';
    case 'in_progress':
      return 'running';
    case 'completed':
      return 'done';
    case 'failed':
      return isCancelled(video) ? 'cancelled' : 'failed';
  }
}

/** The line above a job's prompt. */
export function stateLine(video: Video, views: readonly StageView[]): string {
  const again = video.attempt > 1 ? `, attempt ${video.attempt}` : '';
  switch (stateName(video)) {
    case 'queued':
      return `Queued${again}${placeText(video)}`;
    case 'paused':
      return `Paused for another video${again}${placeText(video)}`;
    case 'running': {
      const running = views.find(({ state }) => state === 'running');
      if (running && video.stages.at(-1)?.waiting) {
        return `Waiting for a replica of ${running.name.toLowerCase()}${again}`;
      }
      return `${running ? running.name : 'Starting'} · ${Math.floor(video.progress)} %${again}${readyText(video)}`;
    }
    case 'done':
      return 'Done';
    case 'failed':
      return 'Failed';
    case 'cancelled':
      return 'Cancelled';
  }
}

function placeText(video: Video): string {
  return video.queue ? ` · position ${video.queue.position}${readyText(video)}` : '';
}

function readyText({ queue }: Video): string {
  const seconds = queue?.ready_at ? Math.ceil(queue.ready_at - Date.now() / 1000) : 0;
  // Tenths would suggest more precision than there is.
  return seconds > 0 ? ` · ready in about ${seconds < 60 ? `${seconds} s` : formatSeconds(seconds)}` : '';
}

/** Why a job failed, in a sentence or two. */
export function failureText({ error }: Video): string {
  if (!error) {
    return '';
  }
  const where = error.stage ? ` in the ${stageName(error.stage).toLowerCase()} stage` : '';
  const attempts = error.attempt && error.attempt > 1 ? ` after ${error.attempt} attempts` : '';
  return `It failed${where}${attempts}: ${error.message}`;
}

/** The settings of a video, as short phrases. */
export function factsOf({ size, seed, keyframes, interpolation, frame_rate, model }: Video): string[] {
  const between = frame_rate === 'low' ? '' : ` + ${interpolation.steps}`;
  return [
    model,
    formatSize(size),
    `seed ${seed}`,
    `${keyframes.steps}${between} steps`,
    `guidance ${keyframes.guidance_scale}`,
  ];
}
