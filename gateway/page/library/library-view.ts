import { showPicture } from '../api/files.ts';
import { byId, fromTemplate, part, setText } from '../dom.ts';
import { formatAge, formatSeconds } from '../formats.ts';
import { stateName } from '../job/describe.ts';
import { stageName } from '../pipeline.ts';
import { hasFile, isFinished } from '../video-facts.ts';
import type { Video } from '../wire.ts';

/** The list of jobs, newest first. Elements stay while their jobs do: focus and pictures are kept. */
export class LibraryView {
  readonly #list = byId('library-list');
  readonly #items = new Map<string, HTMLElement>();
  readonly #pictured = new Set<string>();

  show(videos: readonly Video[], opened: string | undefined, hasMore: boolean): void {
    const wanted = videos.map((video) => {
      const item = this.#items.get(video.id) ?? fromTemplate<HTMLElement>('item-template');
      this.#items.set(video.id, item);
      this.#update(item, video, video.id === opened);
      return item;
    });
    const ids = new Set(videos.map(({ id }) => id));
    for (const [id, item] of this.#items) {
      if (!ids.has(id)) {
        item.remove();
        this.#items.delete(id);
        this.#pictured.delete(id);
      }
    }
    wanted.forEach((item, index) => {
      if (this.#list.children[index] !== item) {
        this.#list.insertBefore(item, this.#list.children[index] ?? null);
      }
    });
    byId('library-empty').hidden = videos.length > 0;
    byId('library-more').hidden = !hasMore;
  }

  #update(item: HTMLElement, video: Video, isOpened: boolean): void {
    const link = part<HTMLAnchorElement>(item, 'link');
    if (link.hash !== `#${video.id}`) {
      link.href = `#${video.id}`;
    }
    if (isOpened) {
      link.setAttribute('aria-current', 'true');
    } else {
      link.removeAttribute('aria-current');
    }
    item.dataset.state = stateName(video);
    setText(part(item, 'prompt'), video.prompt);
    setText(part(item, 'facts'), facts(video));
    const progress = part<HTMLProgressElement>(item, 'progress');
    progress.hidden = isFinished(video);
    progress.value = video.progress;
    progress.setAttribute('aria-label', `Progress of ${video.prompt}`);
    if (hasFile(video, 'thumbnail') && !this.#pictured.has(video.id)) {
      this.#pictured.add(video.id);
      showPicture(part(item, 'image'), video.id, 'thumbnail').catch(() => this.#pictured.delete(video.id));
    }
  }
}

function facts(video: Video): string {
  const age = formatAge(video.created_at);
  switch (stateName(video)) {
    case 'queued':
      return video.queue ? `waiting, position ${video.queue.position}` : 'waiting';
    case 'paused':
      return 'paused for another video';
    case 'running': {
      const stage = video.stages.at(-1)?.stage;
      return `${stage ? stageName(stage).toLowerCase() : 'starting'}, ${Math.floor(video.progress)} %`;
    }
    case 'done':
      return `${formatSeconds(Number(video.seconds))} · ${age}`;
    case 'failed':
      return `failed · ${age}`;
    case 'cancelled':
      return `cancelled · ${age}`;
  }
}
