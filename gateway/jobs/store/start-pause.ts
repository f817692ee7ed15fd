import type { Sql } from 'postgres';
import { lock } from '../../database/locks.ts';
import { transact } from '../../database/transact.ts';
import type { Pause } from '../queue/choose-pauses.ts';
import { knownLevel } from '../required-level.ts';

/**
 * Records that a job of this replica is to pause for another; false if it has ended, or if the other is no longer queued,
 * must not start, or has another job pausing for it.
 */
export function startPause(sql: Sql, owner: string, pause: Pause): Promise<boolean> {
  return transact(sql, async (transaction) => {
    lock(transaction, 'claim');
    const rows = await transaction`
      update jobs set pause_for = other.id from jobs as other
      where jobs.id = ${pause.job} and jobs.owner = ${owner} and jobs.state = 'running' and jobs.pause_for is null
        and other.id = ${pause.for} and other.state = 'queued' and other.required_level <= ${knownLevel}
        and not exists (select from budget_use where key_id = other.key_id and used >= amount)
        and not exists (
          select from jobs as paused
          where paused.pause_for = other.id and paused.pause_for is not null and paused.state in ('queued', 'running'))
      returning 1`;
    return rows.length === 1;
  });
}
