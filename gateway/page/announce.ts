import { byId, setText } from './dom.ts';
import { stateName } from './job/describe.ts';
import { stageName } from './pipeline.ts';
import type { Video } from './wire.ts';

/** Announces a job's progress to screen readers: every stage, but not every step. */
export function announce(video: Video): void {
  setText(byId('announcer'), message(video));
}

function message(video: Video): string {
  switch (stateName(video)) {
    case 'queued':
      return 'The video is queued.';
    case 'paused':
      return 'The video is paused for another one and will continue.';
    case 'running': {
      const last = video.stages.at(-1);
      return last ? `The ${stageName(last.stage).toLowerCase()} stage has started.` : 'The video has started.';
    }
    case 'done':
      return 'The video is done.';
    case 'failed':
      return 'The video failed.';
    case 'cancelled':
      return 'The video was cancelled.';
  }
}
