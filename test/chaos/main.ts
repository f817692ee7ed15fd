import { setMaxListeners } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { interruptSignal } from '../../cli/interrupt.ts';
import { retryOnLoss } from '../../gateway/database/retry-on-loss.ts';
import { testClient } from '../../gateway/testing/gateway.ts';
import { timeLimit } from '../../services/kit/time-limit.ts';
import { seededRandom } from '../../triton-models/world/random.ts';
import { Fleet } from '../support/fleet.ts';
import { type JobHistory, jobHistory, rememberResults } from '../support/job-history.ts';
import { runJob, type SeenJob, undisturbedFiles, variantCount } from './chaos-jobs.ts';
import { type Kills, killUntil } from './killer.ts';

const usage = `usage: chaos [--seed n] [--jobs n] [--minutes n] [--inference 1|2]

Makes videos (default: 50) with the preset nano on two gateways, two of each stage, one or two inference servers and an
embedded PostgreSQL, while processes drawn from the seed (default: 1) are killed with SIGKILL and started again. After
--minutes (default: 30) what has not ended is lost. Exit code 1: something was lost, duplicated, redone or differs; 2:
usage; 130: it was interrupted.`;

interface Arguments {
  seed: number;
  jobs: number;
  minutes: number;
  inference: number;
}

function readArguments(): Arguments | undefined {
  try {
    const { values } = parseArgs({
      options: {
        seed: { type: 'string', default: '1' },
        jobs: { type: 'string', default: '50' },
        minutes: { type: 'string', default: '30' },
        inference: { type: 'string', default: '1' },
      },
    });
    const [seed = 0, jobs = 0, minutes = 0, inference = 0] = Object.values({
      seed: Number(values.seed),
      jobs: Number(values.jobs),
      minutes: Number(values.minutes),
      inference: Number(values.inference),
    });
    const isRight =
      [seed, jobs, inference].every(Number.isInteger) && jobs > 0 && minutes > 0 && [1, 2].includes(inference);
    return isRight ? { seed, jobs, minutes, inference } : undefined;
  } catch {
    return undefined;
  }
}

/** What must not happen, one line for each time it did. */
interface Verdict {
  lost: string[];
  duplicated: string[];
  redone: string[];
  differing: string[];
}

async function main(): Promise<number> {
  const given = readArguments();
  if (!given) {
    process.stderr.write(`${usage}\n`);
    return 2;
  }
  const interrupted = interruptSignal();
  const fleet = await Fleet.start({
    gateways: 2,
    stages: 2,
    inference: given.inference,
    // A stage may well be killed ten times in a row here: what is given up for that is not what is looked for.
    gatewayEnvironment: { FUSIONFRAMES_STAGE_ATTEMPTS: '100' },
  });
  try {
    const { sql } = fleet.database;
    await rememberResults(sql);
    const expected = await undisturbedFiles(fleet, interrupted);
    const started = performance.now();
    const { seen, kills } = await disturb(fleet, given, interrupted);
    interrupted.throwIfAborted();
    const seconds = (performance.now() - started) / 1000;
    // PostgreSQL may have been the last one to be killed.
    const read = () => Promise.all(seen.map(({ id }) => (id ? jobHistory(sql, id) : undefined)));
    const histories = await retryOnLoss(read, { seconds: 30 });
    const [{ rows }] = await sql<[{ rows: number }]>`select count(*) as rows from jobs where client_id <> ''`;
    const verdict = judge(seen, histories, expected);
    if (rows > given.jobs) {
      verdict.duplicated.push(`${rows} jobs were made of ${given.jobs} requests`);
    }
    report(given, kills, histories, verdict, seconds);
    return Object.values(verdict).some((faults) => faults.length > 0) ? 1 : 0;
  } catch (error) {
    if (interrupted.aborted) {
      return 130;
    }
    throw error;
  } finally {
    await fleet.stop();
  }
}

/** Runs all jobs while processes are killed. */
async function disturb(
  fleet: Fleet,
  { seed, jobs, minutes }: Arguments,
  interrupted: AbortSignal,
): Promise<{ seen: SeenJob[]; kills: Kills }> {
  const clients = fleet.gatewayAddresses.map(testClient);
  const failed = new AbortController();
  const limit = timeLimit(minutes * 60_000, AbortSignal.any([interrupted, failed.signal]));
  const deadline = limit.signal;
  // Every call of every client ends with it.
  setMaxListeners(0, deadline);
  const over = new AbortController();
  const killing = killUntil(fleet, seededRandom(`chaos ${seed}`), { over: over.signal, deadline });
  // Something that was killed does not start again: there is nothing left to wait for.
  killing.catch(() => failed.abort());
  const watching = showProgress(fleet, jobs, over.signal);
  const seen = await Promise.all(Array.from({ length: jobs }, (_, job) => runJob(job, clients, deadline)));
  over.abort();
  const kills = await killing;
  await watching;
  limit.end();
  for (const { close } of clients) {
    close();
  }
  return { seen, kills };
}

async function showProgress({ database }: Fleet, jobs: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await pause(10_000, undefined, { signal }).catch(() => {});
    const rows = await database.sql<{ state: string; count: number }[]>`
      select state, count(*) as count from jobs where client_id <> '' group by state order by state`.catch(
      () => undefined,
    );
    const states = rows?.map(({ state, count }) => `${count} ${state}`).join(', ') ?? 'the database is away';
    process.stderr.write(`${new Date().toISOString().slice(11, 19)} of ${jobs} jobs: ${states}\n`);
  }
}

function judge(
  seen: readonly SeenJob[],
  histories: readonly (JobHistory | undefined)[],
  expected: readonly JobHistory['files'][],
): Verdict {
  const verdict: Verdict = { lost: [], duplicated: [], redone: [], differing: [] };
  for (const [index, { job, trouble, disorder }] of seen.entries()) {
    const history = histories[index];
    const { redone = [], disorder: inRows = [] } = history ?? {};
    verdict.redone.push(...redone.map((fault) => `job ${job}: ${fault}`));
    verdict.duplicated.push(...[...disorder, ...inRows].map((fault) => `job ${job}: ${fault}`));
    if (trouble !== undefined || history?.state !== 'succeeded') {
      verdict.lost.push(`job ${job}: ${history?.state ?? 'no row'}, ${trouble ?? JSON.stringify(history?.failure)}`);
      continue;
    }
    const wanted = expected[job % variantCount]!;
    const names = Object.keys({ ...wanted, ...history.files }).filter((name) => wanted[name] !== history.files[name]);
    if (names.length > 0) {
      verdict.differing.push(`job ${job}: ${names.join(', ')}`);
    }
  }
  return verdict;
}

function report(
  { seed, jobs }: Arguments,
  { byKind, adoptions }: Kills,
  histories: readonly (JobHistory | undefined)[],
  verdict: Verdict,
  seconds: number,
): void {
  const attempts = histories.map((history) => history?.attempt ?? 0);
  const kills = [...byKind].map(([kind, count]) => `${kind} ${count}`).sort();
  const total = [...byKind.values()].reduce((sum, count) => sum + count, 0);
  console.log(`seed ${seed}, ${jobs} jobs in ${seconds.toFixed(0)} s`);
  console.log(`kills: ${total} (${kills.join(', ')})`);
  console.log(
    `attempts at the ${jobs} jobs: ${attempts.reduce((sum, each) => sum + each, 0)}, most of one job ${Math.max(...attempts)}`,
  );
  if (adoptions.length > 0) {
    const sorted = adoptions.toSorted((a, b) => a - b);
    const [median, largest] = [sorted[Math.floor(sorted.length / 2)]!, sorted.at(-1)!];
    console.log(
      `${sorted.length} gateways died with jobs, all adopted after: median ${median.toFixed(1)} s, largest ${largest.toFixed(1)} s`,
    );
  }
  for (const [name, faults] of Object.entries(verdict)) {
    console.log(`${name}: ${faults.length}`);
    for (const fault of faults) {
      console.log(`  ${fault}`);
    }
  }
}

process.exitCode = await main();
