import { part } from '../dom.ts';
import { formatAge, formatSeconds } from '../formats.ts';
import type { Key, UsageGroup } from '../wire.ts';
import { act, confirmedWith } from './act.ts';
import { editKey } from './key-dialog.ts';
import { ownKeyId } from './names.ts';
import { revokeKey } from './operate.ts';
import { Rows, setParts } from './rows.ts';

/** A key with its usage in this month, if it has any. */
export interface KeyRow {
  key: Key;
  usage: UsageGroup | undefined;
}

/** The API keys, which can be changed and revoked. */
export function keysView(refresh: () => Promise<void>): Rows<KeyRow> {
  return new Rows<KeyRow>({
    body: 'keys',
    template: 'key-row',
    keyOf: ({ key }) => key.id,
    update(row, { key, usage }) {
      const isOwn = key.id === ownKeyId();
      const isRevoked = key.revoked_at !== null;
      row.dataset.revoked = String(isRevoked);
      setParts(row, {
        name: key.name,
        id: key.id,
        scopes: key.scopes.join(', '),
        limits: limitsOf(key),
        budgets: key.budgets.map(describeBudget).join('; '),
        usage: usage ? `${usage.completed} videos, ${formatSeconds(usage.seconds)}` : '',
        used: isRevoked
          ? `revoked ${formatAge(key.revoked_at!)}`
          : key.last_used_at === null
            ? 'never'
            : formatAge(key.last_used_at),
      });
      part<HTMLButtonElement>(row, 'edit').hidden = isRevoked;
      part<HTMLButtonElement>(row, 'revoke').hidden = isRevoked || isOwn;
      part<HTMLElement>(row, 'own').hidden = !isOwn;
      part(row, 'edit').setAttribute('aria-label', `Edit ${key.name}`);
      part(row, 'revoke').setAttribute('aria-label', `Revoke ${key.name}`);
    },
    actions: {
      edit: ({ key }) => editKey(key, refresh),
      revoke: ({ key }) => void revoke(key, refresh),
    },
  });
}

async function revoke({ id, name, queued, running }: Key, refresh: () => Promise<void>): Promise<void> {
  const videos = queued + running;
  const question = `Revoke the key of ${name}? It cannot be restored${videos > 0 ? `, and its ${videos} waiting and running videos are cancelled` : ''}.`;
  const keepJobs = await confirmedWith(question, 'Revoke', videos > 0 ? 'Let its videos go on' : undefined);
  if (keepJobs !== undefined) {
    await act('keys', `The key of ${name} is revoked.`, async () => {
      await revokeKey(id, keepJobs);
      await refresh();
    });
  }
}

function limitsOf(key: Key): string {
  const limits: [number, (limit: number) => string][] = [
    [key.concurrent_jobs, (limit) => `${limit} in progress`],
    [key.queued_jobs, (limit) => `${limit} waiting`],
    [key.requests_per_minute, (limit) => `${limit} requests/min`],
    [key.max_steps, (limit) => `${limit} steps`],
    [key.max_frames, (limit) => `${limit} frames`],
  ];
  const set = limits.filter(([limit]) => limit > 0).map(([limit, tell]) => tell(limit));
  return [`share ${key.share}`, `priority to ${key.max_priority}`, ...set].join(' · ');
}

function describeBudget({ budget, used, resets_at }: Key['budgets'][number]): string {
  const resets = new Date(resets_at * 1000).toISOString().slice(0, 10);
  return `${Math.round(10 * used) / 10} of ${budget}, until ${resets}`;
}
