import { part, setText } from '../dom.ts';
import { formatAge } from '../formats.ts';
import { stageName } from '../pipeline.ts';
import type { Action, Failure, Line } from '../wire.ts';
import { keyLabel } from './names.ts';
import { Rows, setParts } from './rows.ts';

const holds = { concurrent_jobs: 'at its limit of videos in progress', budget: 'its budget is used' } as const;

/** The keys with queued or running videos; pressing one shows only its waiting videos, pressing it again those of all. */
export function queueView(filter: { shownKey: string | undefined; toggle(key: string): void }): Rows<Line> {
  return new Rows<Line>({
    body: 'queue',
    template: 'queue-row',
    keyOf: ({ key }) => key,
    update(row, { key, name, share, queued, running, oldest_at, held_by }) {
      setParts(row, {
        key: keyLabel(key, name),
        share: String(share),
        running: String(running),
        queued: held_by ? `${queued}, ${holds[held_by]}` : String(queued),
        oldest: oldest_at === null ? '' : formatAge(oldest_at),
      });
      part(row, 'key').setAttribute('aria-pressed', String(key === filter.shownKey));
    },
    actions: { key: ({ key }) => filter.toggle(key) },
  });
}

/** Failures by reason. */
export function failuresView(): Rows<Failure> {
  return new Rows<Failure>({
    body: 'failures',
    template: 'failure-row',
    keyOf: ({ reason, model }) => `${reason} ${model}`,
    update(row, { reason, model, count, keys, last_at, last_video, stage, message }) {
      const where = stage ? `${stageName(stage)}: ` : '';
      setParts(row, {
        reason: reason.replaceAll('_', ' '),
        model,
        message: message === null ? '' : `${where}${message}`,
        count: `${count}, of ${keys === 1 ? 'one key' : `${keys} keys`}`,
      });
      const last = part<HTMLAnchorElement>(row, 'last');
      last.href = `./#${last_video}`;
      setText(last, formatAge(last_at));
    },
  });
}

/** Actions of operators. */
export function actionsView(): Rows<Action> {
  return new Rows<Action>({
    body: 'actions',
    template: 'action-row',
    keyOf: ({ number }) => String(number),
    update(row, { at, key, key_name, action, target, details }) {
      setParts(row, {
        at: formatAge(at),
        who: keyLabel(key, key_name),
        action: actionNames[action],
        details: Object.entries(details).map(describe).join(', '),
        target,
      });
    },
  });
}

const actionNames: Record<Action['action'], string> = {
  'gateway.pause': 'paused a gateway',
  'gateway.drain': 'drained a gateway',
  'gateway.resume': 'resumed a gateway',
  'key.create': 'created a key',
  'key.update': 'changed a key',
  'key.revoke': 'revoked a key',
  'video.priority': 'set a priority',
};

function describe([name, value]: [string, unknown]): string {
  return `${name.replaceAll('_', ' ')} ${Array.isArray(value) ? value.join(' and ') || 'none' : String(value)}`;
}
