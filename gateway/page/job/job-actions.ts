import { inPlainWords } from '../api/api-error.ts';
import { forgetWhenReachable } from '../api/connection.ts';
import { part, setText } from '../dom.ts';
import { highestFrameRate, isFinished } from '../video-facts.ts';
import type { Presets, Video } from '../wire.ts';

export interface JobActions {
  cancel(video: Video): Promise<void>;
  retry(video: Video): Promise<void>;
  /** Goes on from the keyframes with the highest frame rate. */
  finish(video: Video): Promise<void>;
  edit(video: Video): void;
  asCurl(video: Video): void;
  /** Resolves without effect if the user declines. */
  delete(video: Video): Promise<void>;
}

/** Connects a job's buttons; returns a function that shows those that apply to its current state. */
export function wireActions(root: HTMLElement, actions: JobActions, presets: Presets): (video: Video) => void {
  let current: Video;
  for (const name of ['cancel', 'finish', 'retry', 'edit', 'as-curl', 'delete'] as const) {
    const button = part<HTMLButtonElement>(root, name);
    button.addEventListener('click', async () => {
      if (button.ariaDisabled === 'true') {
        return;
      }
      setText(part(root, 'action-error'), '');
      // A disabled button would lose the focus.
      button.ariaDisabled = 'true';
      try {
        await actions[name === 'as-curl' ? 'asCurl' : name](current);
      } catch (error) {
        setText(part(root, 'action-error'), inPlainWords(error));
        forgetWhenReachable(part(root, 'action-error'), error);
      } finally {
        button.ariaDisabled = null;
      }
    });
  }
  return (video) => {
    current = video;
    const finished = isFinished(video);
    const visible = {
      cancel: !finished,
      download: video.status === 'completed',
      finish: video.status === 'completed' && video.frame_rate !== highestFrameRate(video, presets),
      retry: finished,
      edit: true,
      'as-curl': true,
      delete: finished,
    };
    // Keeps the focus on the page when the focused button disappears.
    const hadFocus = document.activeElement === part(root, 'cancel') && finished;
    for (const [name, shown] of Object.entries(visible)) {
      part<HTMLElement>(root, name).hidden = !shown;
    }
    if (hadFocus) {
      part<HTMLElement>(root, 'retry').focus();
    }
  };
}
