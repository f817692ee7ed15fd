import { setMaxListeners } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Sql } from 'postgres';
import { interruptSignal } from '../../cli/interrupt.ts';
import { retryOnLoss } from '../../gateway/database/retry-on-loss.ts';
import { ApiKeys } from '../../gateway/keys/api-keys.ts';
import { testClient } from '../../gateway/testing/gateway.ts';
import { timeLimit } from '../../services/kit/time-limit.ts';
import { seededRandom } from '../../triton-models/world/random.ts';
import { Fleet } from '../support/fleet.ts';
import { type JobHistory, jobHistory, rememberResults } from '../support/job-history.ts';
import { linkKinds } from '../support/network.ts';
import { runJob, type SeenJob, undisturbedFiles, variantCount } from './chaos-jobs.ts';
import { type Disturbances, disturbUntil } from './disturber.ts';
import { compareShares, readTurns, rememberTurns } from './fairness.ts';
import { faultsWith, linkFaultNames } from './faults.ts';
import { WebhookReceiver } from './webhook-receiver.ts';

const usage = `usage: chaos [--seed n] [--jobs n] [--minutes n] [--inference 1|2] [--faults word,...]

Makes videos of two keys of unequal share (default: 50) with the preset nano on two gateways, two of each stage, one or two inference servers,
an embedded PostgreSQL and a bucket. Meanwhile processes drawn from the seed (default: 1) are killed with SIGKILL and started
again, connections fall silent, are slow, reset or half-closed, the database's clock jumps by an hour, and the bucket damages
or forgets what it is given or asked for. What has not ended after --minutes (default: 30) is lost.

With --faults only faults happen whose names have one of the words in them, as in --faults "clock back,slow". Their names:
clock back, clock forward, bucket lies when written, bucket lies when read, and each of ${linkKinds.join(', ')}
followed by each of ${linkFaultNames.join(', ')}.

Exit code 1: something was lost, duplicated, redone, differs or was unfair; 2: usage; 130: it was interrupted.`;

interface Arguments {
  seed: number;
  jobs: number;
  minutes: number;
  inference: number;
  faults: string[];
}

function readArguments(): Arguments | undefined {
  try {
    const { values } = parseArgs({
      options: {
        seed: { type: 'string', default: '1' },
        jobs: { type: 'string', default: '50' },
        minutes: { type: 'string', default: '30' },
        inference: { type: 'string', default: '1' },
        faults: { type: 'string', default: '' },
      },
    });
    const [seed = 0, jobs = 0, minutes = 0, inference = 0] = Object.values({
      seed: Number(values.seed),
      jobs: Number(values.jobs),
      minutes: Number(values.minutes),
      inference: Number(values.inference),
    });
    const faults = faultsWith(values.faults.split(',').filter((word) => word !== ''));
    const isRight =
      [seed, jobs, inference].every(Number.isInteger) &&
      jobs > 0 &&
      minutes > 0 &&
      [1, 2].includes(inference) &&
      faults.length > 0;
    return isRight ? { seed, jobs, minutes, inference, faults } : undefined;
  } catch {
    return undefined;
  }
}

/** Violations, one line each. */
interface Verdict {
  lost: string[];
  duplicated: string[];
  redone: string[];
  differing: string[];
  unfair: string[];
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
    preset: 'nano',
    // A stage may well be killed ten times in a row here, and giving up would then be right.
    gatewayEnvironment: { FUSIONFRAMES_STAGE_ATTEMPTS: '100', FUSIONFRAMES_LOCAL_WEBHOOKS: 'on' },
    hasNetwork: true,
  });
  const receiver = await WebhookReceiver.start();
  try {
    const { sql } = fleet.database;
    await rememberResults(sql);
    await rememberTurns(sql);
    const keys = await createKeys(sql);
    const expected = await undisturbedFiles(fleet, keys[0]!.text, given.minutes, interrupted);
    const started = performance.now();
    const { seen, disturbances } = await disturb({ fleet, keys, receiver }, given, interrupted);
    interrupted.throwIfAborted();
    const seconds = (performance.now() - started) / 1000;
    // PostgreSQL may have been the last process killed.
    const read = () => Promise.all(seen.map(({ id }) => (id ? jobHistory(sql, id) : undefined)));
    const histories = await retryOnLoss(read, { seconds: 30 });
    await untilCalled(sql, receiver, seen, interrupted);
    const verdict = judge(seen, histories, expected, receiver);
    const shares = new Map(keys.map(({ id, share }) => [id, share]));
    const fairness = compareShares(await retryOnLoss(() => readTurns(sql), { seconds: 30 }), shares);
    verdict.unfair = fairness.unfair;
    console.log(`jobs begun while both keys waited: ${fairness.compared}`);
    for (const [index, { id }] of keys.entries()) {
      const [{ rows }] = await sql<[{ rows: number }]>`
        select count(*) as rows from jobs where client_id <> '' and key_id = ${id}`;
      const requests = seen.filter(({ job }) => job % keys.length === index).length;
      if (rows > requests) {
        verdict.duplicated.push(`${rows} jobs were made of ${requests} requests of key ${index + 1}`);
      }
    }
    report(given, disturbances, histories, verdict, seconds);
    return Object.values(verdict).some((faults) => faults.length > 0) ? 1 : 0;
  } catch (error) {
    if (interrupted.aborted) {
      return 130;
    }
    throw error;
  } finally {
    await fleet.stop();
    await receiver.close();
  }
}

interface Key {
  id: string;
  text: string;
  share: number;
}

/** Two keys of unequal share, with separate limits and client ids. */
function createKeys(sql: Sql): Promise<Key[]> {
  const limits = { concurrentJobs: 0, queuedJobs: 0, requestsPerMinute: 100_000 };
  const create = async (share: number) => {
    const name = `share ${share}`;
    const { key, text } = await new ApiKeys(sql).create({ name, scopes: ['read', 'create'], limits, share });
    return { id: key.id, text, share };
  };
  return Promise.all([1, 3].map(create));
}

/** Runs all jobs on a disturbed fleet. */
async function disturb(
  { fleet, keys, receiver }: { fleet: Fleet; keys: readonly Key[]; receiver: WebhookReceiver },
  { seed, jobs, minutes, faults }: Arguments,
  interrupted: AbortSignal,
): Promise<{ seen: SeenJob[]; disturbances: Disturbances }> {
  const clients = keys.map(({ text }) => fleet.gatewayAddresses.map((address) => testClient(address, text)));
  const failed = new AbortController();
  const limit = timeLimit(minutes * 60_000, AbortSignal.any([interrupted, failed.signal]));
  const deadline = limit.signal;
  // Ends every call of every client.
  setMaxListeners(0, deadline);
  const over = new AbortController();
  const disturbing = disturbUntil(
    fleet,
    { random: seededRandom(`chaos ${seed}`), faults },
    { over: over.signal, deadline },
  );
  // A killed process failed to restart, so waiting is pointless.
  disturbing.catch(() => failed.abort());
  const watching = showProgress(fleet, jobs, over.signal);
  const run = (_: unknown, job: number) => {
    const key = job % keys.length;
    const clientId = `chaos-${(job - key) / keys.length}`;
    return runJob({ job, clientId, webhook: receiver.urlOf(job) }, clients[key]!, deadline);
  };
  const seen = await Promise.all(Array.from({ length: jobs }, run));
  over.abort();
  const disturbances = await disturbing;
  await watching;
  limit.end();
  for (const { close } of clients.flat()) {
    close();
  }
  return { seen, disturbances };
}

async function showProgress({ database }: Fleet, jobs: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await pause(10_000, undefined, { signal }).catch(() => {});
    const rows = await database.sql<{ state: string; count: number }[]>`
      select state, count(*) as count from jobs where client_id <> '' group by state order by state`.catch(
      () => undefined,
    );
    const states = rows?.map(({ state, count }) => `${count} ${state}`).join(', ') ?? 'the database is unreachable';
    process.stderr.write(`${new Date().toISOString().slice(11, 19)} of ${jobs} jobs: ${states}\n`);
  }
}

/** Time for webhooks to arrive after the last disturbance, seconds. */
const webhookSeconds = 120;
/** How often those that wait for a retry are made due, seconds. */
const hurrySeconds = 5;

/** Waits until every job's webhook has arrived, without the pauses between retries. */
async function untilCalled(
  sql: Sql,
  receiver: WebhookReceiver,
  seen: readonly SeenJob[],
  interrupted: AbortSignal,
): Promise<void> {
  const limit = timeLimit(webhookSeconds * 1000, interrupted);
  const isMissing = ({ job, id }: SeenJob) => id !== undefined && receiver.callsFor(job).accepted.length === 0;
  while (seen.some(isMissing) && !limit.signal.aborted) {
    await sql`update webhook_deliveries set next_attempt_at = now()
      where delivered_at is null and abandoned_at is null`.catch(() => {});
    await pause(hurrySeconds * 1000, undefined, { signal: limit.signal }).catch(() => {});
  }
  limit.end();
}

function judge(
  seen: readonly SeenJob[],
  histories: readonly (JobHistory | undefined)[],
  expected: readonly JobHistory['files'][],
  receiver: WebhookReceiver,
): Verdict {
  const verdict: Verdict = { lost: [], duplicated: [], redone: [], differing: [], unfair: [] };
  for (const [index, { job, trouble, disorder, video }] of seen.entries()) {
    const { ids, accepted } = receiver.callsFor(job);
    if (accepted.length === 0 || accepted.some((type) => type !== 'video.completed')) {
      verdict.lost.push(`job ${job}: its webhook reported ${accepted.join(', ') || 'nothing'}`);
    }
    if (ids.size > 1) {
      verdict.duplicated.push(`job ${job}: ${ids.size} webhooks`);
    }
    const history = histories[index];
    const { redone = [], disorder: inRows = [] } = history ?? {};
    verdict.redone.push(...redone.map((fault) => `job ${job}: ${fault}`));
    verdict.duplicated.push(...[...disorder, ...inRows].map((fault) => `job ${job}: ${fault}`));
    if (trouble !== undefined || history?.state !== 'succeeded') {
      const why = [history?.failure && JSON.stringify(history.failure), trouble].filter((each) => each !== undefined);
      verdict.lost.push(`job ${job}: ${[history?.state ?? 'no row', ...why].join(', ')}`);
      continue;
    }
    const wanted = expected[job % variantCount]!;
    const names = Object.keys({ ...wanted, ...history.files }).filter((name) => wanted[name] !== history.files[name]);
    if (names.length > 0) {
      verdict.differing.push(`job ${job}: ${names.join(', ')}`);
    }
    if (video !== wanted.video) {
      verdict.differing.push(`job ${job}: the downloaded video`);
    }
  }
  return verdict;
}

function report(
  { seed, jobs }: Arguments,
  { kills, faults, adoptions }: Disturbances,
  histories: readonly (JobHistory | undefined)[],
  verdict: Verdict,
  seconds: number,
): void {
  const attempts = histories.map((history) => history?.attempt ?? 0);
  console.log(`seed ${seed}, ${jobs} jobs in ${seconds.toFixed(0)} s`);
  for (const [name, counts] of Object.entries({ kills, faults })) {
    const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
    const each = [...counts].map(([kind, count]) => `${kind} ${count}`).sort();
    console.log(`${name}: ${total} (${each.join(', ')})`);
  }
  console.log(
    `attempts at the ${jobs} jobs: ${attempts.reduce((sum, each) => sum + each, 0)}, most of one job ${Math.max(...attempts)}`,
  );
  const redoneSteps = histories.map((history) => history?.redoneSteps ?? 0);
  console.log(
    `denoising steps made again: ${redoneSteps.reduce((sum, each) => sum + each, 0)}, most of one job ${Math.max(...redoneSteps)}`,
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
