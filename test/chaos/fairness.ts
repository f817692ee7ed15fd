import type { Sql } from 'postgres';

/** A job that was accepted or begun, in the order in which that happened. */
export interface Turn {
  keyId: string;
  kind: 'accepted' | 'begun';
  /** The job's work, as the gateway charges it. */
  work: number;
}

/**
 * Remembers when jobs are accepted and first begun, not when they continue after a pause: their times shift with the
 * database's clock.
 */
export async function rememberTurns(sql: Sql): Promise<void> {
  await sql.unsafe(`
    create table remembered_turns (number bigint generated always as identity, key_id text, kind text, work float8);
    create function remember_turn() returns trigger language plpgsql as $$ begin
      insert into remembered_turns (key_id, kind, work)
        values (new.key_id, case tg_op when 'INSERT' then 'accepted' else 'begun' end, new.work);
      return null;
    end $$;
    -- Counts from its commit on: no gateway could begin it earlier.
    create constraint trigger remember_accepted after insert on jobs deferrable initially deferred
      for each row execute function remember_turn();
    create trigger remember_begun after update of state on jobs for each row
      when (old.state = 'queued' and new.state = 'running' and old.started_at is null) execute function remember_turn();`);
}

export async function readTurns(sql: Sql): Promise<Turn[]> {
  return sql<Turn[]>`select key_id as "keyId", kind, work from remembered_turns order by number`;
}

/** Jobs begun after the last one was accepted, by keys that both have more waiting. */
export interface Fairness {
  /** How many there were: with none, nothing was shown. */
  compared: number;
  /** Sentences about keys that got less than their share. */
  unfair: string[];
}

/**
 * Compares what two keys got. While jobs of both wait, the work begun for each, divided by its share, may differ by the
 * largest job of each at most (start-time fair queueing, Goyal et al. 1996). Begins after the last job was accepted: until
 * then, which jobs a gateway could see when it chose is not known exactly.
 *
 * @param shares by key, exactly two
 */
export function compareShares(turns: readonly Turn[], shares: ReadonlyMap<string, number>): Fairness {
  const [one, two] = [...shares.keys()] as [string, string];
  const largest = (keyId: string) => Math.max(0, ...turns.filter((turn) => turn.keyId === keyId).map(scaled));
  const allowed = largest(one) + largest(two);
  const lastAccepted = turns.findLastIndex(({ kind }) => kind === 'accepted');
  const countOf = (keyId: string, kind: Turn['kind'], all: readonly Turn[]) =>
    all.filter((turn) => turn.keyId === keyId && turn.kind === kind).length;
  const before = turns.slice(0, lastAccepted + 1);
  const waiting = new Map(
    [one, two].map((keyId) => [keyId, countOf(keyId, 'accepted', before) - countOf(keyId, 'begun', before)]),
  );
  const begun = new Map([
    [one, 0],
    [two, 0],
  ]);
  const fairness: Fairness = { compared: 0, unfair: [] };
  for (const turn of turns.slice(lastAccepted + 1)) {
    if ([...waiting.values()].some((count) => count === 0)) {
      break;
    }
    const { keyId } = turn;
    waiting.set(keyId, waiting.get(keyId)! - 1);
    begun.set(keyId, begun.get(keyId)! + scaled(turn));
    fairness.compared++;
    const difference = begun.get(one)! - begun.get(two)!;
    if (Math.abs(difference) > allowed) {
      const [ahead, more] = [difference > 0 ? 1 : 2, Math.abs(difference).toFixed(1)];
      fairness.unfair.push(
        `${fairness.compared} jobs later, key ${ahead} was ahead by ${more} of work by share, with ${allowed.toFixed(1)} allowed`,
      );
    }
  }
  return fairness;

  function scaled({ keyId, work }: Turn): number {
    return work / (shares.get(keyId) ?? 1);
  }
}
