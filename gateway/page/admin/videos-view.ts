import { cancelVideo } from '../api/videos.ts';
import { part, setText } from '../dom.ts';
import { formatAge, formatSeconds } from '../formats.ts';
import { stageName } from '../pipeline.ts';
import type { OperatedVideo } from '../wire.ts';
import { act, confirmedWith } from './act.ts';
import { keyLabel, secondsSince } from './names.ts';
import { askForPriority } from './priority-dialog.ts';
import { Rows, setParts } from './rows.ts';

/** A video without a change for this long is highlighted, seconds. */
const staleSeconds = 60;

/** Videos in progress: stage, age and gateway. */
export function runningView(refresh: () => Promise<void>): Rows<OperatedVideo> {
  return new Rows<OperatedVideo>({
    body: 'running',
    template: 'running-row',
    keyOf: ({ video }) => video.id,
    update(row, item) {
      const { video, gateway, changed_at } = item;
      const stale = secondsSince(changed_at);
      setCommonParts(row, item);
      setParts(row, {
        stage: stageOf(item),
        age: video.started_at === null ? '' : formatSeconds(secondsSince(video.started_at)),
        stale: stale > staleSeconds ? `no change for ${formatSeconds(stale)}` : '',
        gateway: gateway ?? '',
      });
      const progress = part<HTMLProgressElement>(row, 'progress');
      progress.value = video.progress;
      progress.setAttribute('aria-label', `Progress of ${video.prompt}`);
    },
    actions: { cancel: (item) => void cancel('running', item, refresh) },
  });
}

/** Videos that wait, in the order in which they start. */
export function waitingView(refresh: () => Promise<void>): Rows<OperatedVideo> {
  return new Rows<OperatedVideo>({
    body: 'waiting',
    template: 'waiting-row',
    keyOf: ({ video }) => video.id,
    update(row, item) {
      const { video, priority_by } = item;
      setCommonParts(row, item);
      setParts(row, {
        position: video.queue ? String(video.queue.position) : '',
        priority: String(video.priority),
        by: priority_by ? `by an operator, before ${priority_by.before}` : '',
        since: formatAge(video.created_at),
      });
      part(row, 'raise').setAttribute('aria-label', `Priority of ${video.prompt}`);
    },
    actions: {
      raise: (item) => void askForPriority(item, refresh),
      cancel: (item) => void cancel('waiting', item, refresh),
    },
  });
}

/** Those that start next first. */
export function inOrder(videos: readonly OperatedVideo[]): OperatedVideo[] {
  const position = ({ video }: OperatedVideo) => video.queue?.position ?? Number.POSITIVE_INFINITY;
  return [...videos].sort((a, b) => position(a) - position(b) || 0);
}

function setCommonParts(row: HTMLElement, { video, key, key_name }: OperatedVideo): void {
  const link = part<HTMLAnchorElement>(row, 'prompt');
  setText(link, video.prompt);
  link.href = `./#${video.id}`;
  setText(part(row, 'key'), keyLabel(key, key_name));
  part(row, 'cancel').setAttribute('aria-label', `Cancel ${video.prompt}`);
}

function stageOf({ video }: OperatedVideo): string {
  const last = video.stages.at(-1);
  const attempt = video.attempt > 1 ? `, attempt ${video.attempt}` : '';
  if (!last) {
    return `starts${attempt}`;
  }
  const { stage, step, total, waiting } = last;
  return `${stageName(stage)} ${step} / ${total}${waiting ? ', waits for a replica' : ''}${attempt}`;
}

async function cancel(section: string, { video }: OperatedVideo, refresh: () => Promise<void>): Promise<void> {
  if ((await confirmedWith(`Cancel “${video.prompt}”? This cannot be undone.`, 'Cancel it')) !== undefined) {
    await act(section, 'The video is cancelled.', async () => {
      await cancelVideo(video.id);
      await refresh();
    });
  }
}
