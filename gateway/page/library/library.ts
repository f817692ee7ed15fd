import { ApiError } from '../api/api-error.ts';
import { getVideo, listVideos } from '../api/videos.ts';
import { isFinished } from '../video-facts.ts';
import type { Video } from '../wire.ts';

const pageSize = 20;
/** Maximum number of jobs in a list. */
const largestPage = 100;
/** Unfinished jobs beyond that page that are refreshed each time. */
const olderAtOnce = 10;

/** The jobs that the page knows, newest first. */
export class Library {
  hasMore = false;
  #known: Video[] = [];
  readonly #listeners: (() => void)[] = [];

  get videos(): readonly Video[] {
    return this.#known;
  }

  get(id: string): Video | undefined {
    return this.#known.find((video) => video.id === id);
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Refreshes what is shown: the gateway's largest page, and beyond it the oldest unfinished jobs, which run first. */
  async refresh(): Promise<void> {
    const limit = Math.min(largestPage, Math.max(pageSize, this.#known.length));
    const { data, has_more } = await listVideos(limit);
    const last = data.at(-1);
    const seen = last ? this.#known.findIndex(({ id }) => id === last.id) : -1;
    const older = seen >= 0 && has_more ? this.#known.slice(seen + 1) : [];
    this.hasMore = older.length > 0 ? this.hasMore : has_more;
    this.#known = [...data.map((video) => this.#further(video)), ...older];
    this.#changed();
    const unfinished = older.filter((video) => !isFinished(video)).slice(-olderAtOnce);
    await Promise.all(unfinished.map(({ id }) => this.#look(id)));
  }

  async loadMore(): Promise<void> {
    const { data, has_more } = await listVideos(pageSize, this.#known.at(-1)?.id);
    const ids = new Set(this.#known.map(({ id }) => id));
    this.#known = [...this.#known, ...data.filter(({ id }) => !ids.has(id))];
    this.hasMore = has_more;
    this.#changed();
  }

  /** Updates a job; a new one goes first. */
  put(video: Video): void {
    const index = this.#known.findIndex(({ id }) => id === video.id);
    if (index >= 0) {
      this.#known[index] = this.#further(video);
    } else if (this.#known.every(({ created_at }) => created_at <= video.created_at)) {
      this.#known.unshift(video);
    } else {
      // An old one that a link opened appears with its page of the list.
      return;
    }
    this.#changed();
  }

  remove(id: string): void {
    this.#known = this.#known.filter((video) => video.id !== id);
    this.#changed();
  }

  async #look(id: string): Promise<void> {
    try {
      this.put(await getVideo(id));
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) {
        throw error;
      }
      this.remove(id);
    }
  }

  /** The newer of two states of a job: responses may arrive out of order. */
  #further(video: Video): Video {
    const known = this.get(video.id);
    return known && (isFinished(known) || compare(known, video) > 0) ? known : video;
  }

  #changed(): void {
    for (const listener of this.#listeners) {
      listener();
    }
  }
}

/** Positive if `left` has progressed further than `right`. */
function compare(left: Video, right: Video): number {
  const order = (video: Video) => [
    isFinished(video) ? 1 : 0,
    video.attempt,
    video.stages.length,
    video.stages.at(-1)?.step ?? 0,
    video.files.length,
  ];
  const others = order(right);
  return order(left).reduce((found, value, index) => found || value - others[index]!, 0);
}
