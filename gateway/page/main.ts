import { apiKey, forgetKey } from './api/api-key.ts';
import { isReachable } from './api/connection.ts';
import { retryWhileUnavailable } from './api/retry-while-unavailable.ts';
import { cancelVideo, createVideo, deleteVideo, finishVideo, loadPresets } from './api/videos.ts';
import { Composer } from './compose/composer.ts';
import { showCurl } from './compose/curl-dialog.ts';
import { requestOf, type VideoRequest } from './compose/form-request.ts';
import { confirmed } from './confirm.ts';
import { byId, setText } from './dom.ts';
import { formatSize } from './formats.ts';
import { stateName } from './job/describe.ts';
import { Library } from './library/library.ts';
import { LibraryView } from './library/library-view.ts';
import { OpenedJob } from './opened-job.ts';
import { highestFrameRate, isFinished } from './video-facts.ts';
import type { Preset, Video } from './wire.ts';

/** How often the list is refreshed, milliseconds: while a job runs or the connection is lost, and otherwise. */
const busyPause = 2000;
const idlePause = 15_000;

async function start(): Promise<void> {
  const presets = await retryWhileUnavailable(loadPresets);
  const library = new Library();
  const libraryView = new LibraryView();

  const create = async (request: VideoRequest) => show(await createVideo(request));
  const show = (video: Video) => {
    library.put(video);
    location.hash = video.id;
    // On a phone the form fills the screen.
    byId('work').scrollIntoView({ block: 'nearest' });
  };
  const opened = new OpenedJob({
    presets,
    actions: {
      cancel: async ({ id }) => showUpdate(await cancelVideo(id)),
      async finish(video) {
        show(await finishVideo(video.id, highestFrameRate(video, presets)));
        byId('work').focus();
      },
      async retry(video) {
        await create(requestOf(video, presets));
        // The pressed button disappears with its job.
        byId('work').focus();
      },
      edit: (video) => composer.edit(requestOf(video, presets), video.given_keyframes ?? 0),
      asCurl: (video) => showCurl(requestOf(video, presets)),
      async delete(video) {
        if (await confirmed('Delete this video and its files? This cannot be undone.', 'Delete')) {
          await deleteVideo(video.id);
          library.remove(video.id);
          history.replaceState(null, '', location.pathname);
          await showAddressed();
          byId('work').focus();
        }
      },
    },
    changed: (video) => {
      library.put(video);
      showTitle(video);
    },
  });
  const composer = new Composer(presets, { create, chosen: showPresetFacts });

  const showUpdate = (video: Video) => {
    library.put(video);
    if (video.id === opened.current?.id) {
      opened.update(library.get(video.id) ?? video);
    }
  };
  const showAddressed = async () => {
    const id = location.hash.slice(1);
    showTitle(library.get(id));
    if (id === '') {
      opened.showNothing();
    } else if (id !== opened.current?.id) {
      await opened.open(id, library.get(id));
    }
  };
  const showLibrary = () => libraryView.show(library.videos, location.hash.slice(1) || undefined, library.hasMore);

  library.onChange(showLibrary);
  window.addEventListener('hashchange', () => {
    showLibrary();
    void showAddressed();
  });
  byId('library-more').addEventListener('click', () => void library.loadMore().catch(() => {}));
  byId('desk').hidden = false;
  void showAddressed();
  void keepFresh(library, opened);
}

/** Refreshes the list periodically: it also shows jobs that are not open, and those of other clients. */
async function keepFresh(library: Library, opened: OpenedJob): Promise<never> {
  for (;;) {
    const isFresh = await library.refresh().then(
      () => true,
      () => false,
    );
    const video = library.get(opened.current?.id ?? '');
    // A place in the queue changes without an event.
    if (video && video !== opened.current && (isFinished(video) || video.status === 'queued')) {
      opened.update(video);
    }
    byId('forget-key').hidden = apiKey() === '';
    let waited = 0;
    do {
      await pause(busyPause);
      waited += busyPause;
    } while (waited < idlePause && isFresh && !needsLook(library));
  }
}

/** Whether the list may change soon, and is visible. */
function needsLook({ videos }: Library): boolean {
  return !document.hidden && (!isReachable() || videos.some((video) => !isFinished(video)));
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function showPresetFacts({ id, size }: Preset): void {
  setText(byId('preset-facts'), `${id} · ${formatSize(size.default)}`);
}

/** Shows the state of the open job in the title, for background tabs. */
function showTitle(video: Video | undefined): void {
  const state =
    video &&
    { queued: 'waiting', paused: 'paused', running: `${Math.floor(video.progress)} %` }[stateName(video) as string];
  document.title = [state, video?.prompt, 'FusionFrames'].filter(Boolean).join(' · ');
}

byId('forget-key').addEventListener('click', () => {
  forgetKey();
  location.reload();
});
start().catch((error: unknown) => {
  const notice = byId('connection');
  notice.hidden = false;
  setText(notice, `The page could not be started: ${error instanceof Error ? error.message : String(error)}`);
});
