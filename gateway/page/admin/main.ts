import { ApiError, inPlainWords } from '../api/api-error.ts';
import { apiKey, forgetKey } from '../api/api-key.ts';
import { retryWhileUnavailable } from '../api/retry-while-unavailable.ts';
import { byId, setText } from '../dom.ts';
import { act } from './act.ts';
import { actionsView, failuresView, queueView } from './facts-view.ts';
import { gatewaysView } from './gateways-view.ts';
import { askForKeyFields } from './key-dialog.ts';
import { keysView } from './keys-view.ts';
import {
  listActions,
  listFailures,
  listGateways,
  listKeys,
  listLines,
  listVideosOfAll,
  usageOfKeys,
} from './operate.ts';
import { inOrder, runningView, waitingView } from './videos-view.ts';

/** How often changing data, and everything, is refreshed, in milliseconds. */
const quickPause = 3000;
const slowPause = 30_000;

/** Keys on one page. */
const keysShown = 100;

async function start(): Promise<void> {
  let keyLimit = keysShown;
  const gateways = gatewaysView(refreshAll);
  const filter = {
    shownKey: undefined as string | undefined,
    toggle(key: string) {
      filter.shownKey = filter.shownKey === key ? undefined : key;
      void refreshQuick().catch(showRefreshError);
    },
  };
  const queue = queueView(filter);
  const failures = failuresView();
  const running = runningView(refreshAll);
  const waiting = waitingView(refreshAll);
  const keys = keysView(refreshAll);
  const actions = actionsView();

  async function refreshQuick(): Promise<void> {
    const [allGateways, lines, queued, inProgress] = await Promise.all([
      listGateways(),
      listLines(),
      listVideosOfAll('queued', filter.shownKey),
      listVideosOfAll('in_progress'),
    ]);
    if (!lines.some(({ key }) => key === filter.shownKey)) {
      // The next refresh shows all.
      filter.shownKey = undefined;
    }
    gateways.show(allGateways);
    queue.show(lines);
    waiting.show(inOrder(queued.data));
    running.show(inProgress.data);
    byId('waiting-more').hidden = !queued.has_more;
    byId('running-more').hidden = !inProgress.has_more;
  }

  async function refreshSlow(): Promise<void> {
    const [page, usage, failed, done] = await Promise.all([
      listKeys(byId<HTMLInputElement>('show-revoked').checked, keyLimit),
      usageOfKeys(),
      listFailures(),
      listActions(),
    ]);
    keys.show(page.data.map((key) => ({ key, usage: usage.get(key.id) })));
    byId('keys-more').hidden = !page.has_more || keyLimit >= 1000;
    failures.show(failed);
    actions.show(done);
    byId('forget-key').hidden = apiKey() === '';
  }

  async function refreshAll(): Promise<void> {
    await Promise.all([refreshQuick(), refreshSlow()]);
  }

  byId('new-key').addEventListener('click', () => void act('keys', '', () => askForKeyFields(refreshAll)));
  byId('show-revoked').addEventListener('change', () => void refreshSlow().catch(showRefreshError));
  byId('keys-more').addEventListener('click', () => {
    keyLimit = Math.min(1000, keyLimit + keysShown);
    void refreshSlow().catch(showRefreshError);
  });
  await retryWhileUnavailable(refreshAll);
  byId('desk').hidden = false;
  void keepFresh(refreshQuick, refreshAll);
}

async function keepFresh(quick: () => Promise<void>, all: () => Promise<void>): Promise<never> {
  let slowAt = performance.now();
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, quickPause));
    if (document.hidden) {
      continue;
    }
    const isSlow = performance.now() - slowAt > slowPause;
    await (isSlow ? all() : quick()).then(() => setText(byId('refresh-error'), ''), showRefreshError);
    slowAt = isSlow ? performance.now() : slowAt;
  }
}

/** The display may be out of date. A lost connection has its own notice. */
function showRefreshError(error: unknown): void {
  if (!(error instanceof ApiError && error.status === 0)) {
    setText(byId('refresh-error'), `Not up to date: ${inPlainWords(error)}`);
  }
}

function showRefusal(error: unknown): void {
  byId('desk').hidden = true;
  byId('refused').hidden = false;
  byId('other-key').hidden = apiKey() === '';
  setText(byId('refusal'), inPlainWords(error));
}

for (const id of ['forget-key', 'other-key']) {
  byId(id).addEventListener('click', () => {
    forgetKey();
    location.reload();
  });
}
start().catch(showRefusal);
