import { Status } from 'nice-grpc-common';
import type { Sql, TransactionSql } from 'postgres';
import { FusionError } from '../../../services/kit/errors.ts';
import { lock } from '../../database/locks.ts';
import { transact } from '../../database/transact.ts';
import type { JobPicture } from '../job.ts';

/** Time in which the jobs of a new picture are created, seconds: far longer than a request may take. */
const creationSeconds = 3600;

/** Pictures removed per round. */
const batch = 50;

/** Records a picture before its file is stored, so that the file is removed even if no job follows. */
export async function recordPicture(sql: Sql, id: string): Promise<void> {
  await sql`insert into pictures (id) values (${id})`;
}

/** Throws NOT_FOUND if the picture was removed, with the video that had it. To be called while creation is locked. */
export async function requireKeptPicture(sql: TransactionSql, { id }: JobPicture): Promise<void> {
  const kept = await sql`select from pictures where id = ${id} and removed_at is null`;
  if (kept.length === 0) {
    throw new FusionError(Status.NOT_FOUND, 'The picture was deleted with the video that had it', {
      reason: 'NO_SUCH_JOB',
      field: 'input_reference',
    });
  }
}

/**
 * The pictures to be removed, which no job can use from now on: those without a job, of `ids` or an hour old.
 */
export async function unusedPictures(sql: Sql, ids: readonly string[] = []): Promise<string[]> {
  const unused = (at: Sql | TransactionSql) => at`
    (removed_at is not null or id = any(${ids as string[]})
      or created_at < now() - ${creationSeconds}::float8 * interval '1 second')
    and not exists (select from jobs where picture is not null and picture->>'id' = pictures.id)`;
  const found = await sql<{ id: string }[]>`select id from pictures where ${unused(sql)} limit ${batch}`;
  if (found.length === 0) {
    return [];
  }
  return transact(sql, async (transaction) => {
    // A job that uses one of them may be created at this moment.
    lock(transaction, 'create');
    const rows = await transaction<{ id: string }[]>`
      update pictures set removed_at = coalesce(removed_at, now())
      where id = any(${found.map(({ id }) => id)}) and ${unused(transaction)} returning id`;
    return rows.map(({ id }) => id);
  });
}

/** Deletes the row of a picture whose file is removed. */
export async function forgetPicture(sql: Sql, id: string): Promise<void> {
  await sql`delete from pictures where id = ${id} and removed_at is not null`;
}
