import { chmod, rm } from 'node:fs/promises';
import type { Sql } from 'postgres';
import { openDatabase } from '../../../gateway/database/open-database.ts';
import { Forecast } from '../../../gateway/jobs/queue/forecast.ts';
import { claimJob } from '../../../gateway/jobs/store/leases.ts';
import { readQueue } from '../../../gateway/jobs/store/read-queue.ts';
import { storeSettings } from '../../../gateway/jobs/store/stored-settings.ts';
import { newJob } from '../../../gateway/testing/new-job.ts';
import { createLogger } from '../../../services/kit/log.ts';
import { makeTemporaryFolder } from '../../../services/kit/temporary-folder.ts';
import { loadPreset } from '../../../services/pipeline/preset.ts';
import { quantile } from './quantile.ts';

const preset = loadPreset('nano');
const lengths = [100, 1000, 10_000, 100_000];
const keys = 50;
/** Numbers of keys and of models, all with queued jobs. */
const grids = [
  [50, 1],
  [50, 20],
  [500, 1],
  [500, 20],
] as const;
const jobsPerKey = 20;
const rounds = 5;
const claimsPerRound = 20;
/** Every row of a statement updates its key's count, which gets slower with each version of that row. */
const maxAdded = 1000;

/** Times of one length of the queue, ms. */
interface ClaimTimes {
  length: number;
  claim: number;
  slowClaim: number;
  forecast: number;
}

/**
 * Claims jobs and forecasts their turns in queues of 100 to 100,000 jobs of 50 keys with different shares and priorities, then
 * claims jobs of more keys and models.
 */
export async function measureClaims(): Promise<void> {
  const times = await claimTimes(lengths);
  console.table(
    times.map(({ length, claim, slowClaim, forecast }) => ({
      'queued jobs': length,
      'claim, median ms': Number(claim.toFixed(2)),
      'claim, 99 % ms': Number(slowClaim.toFixed(2)),
      'forecast, median ms': Number(forecast.toFixed(2)),
    })),
  );
  await withDatabase(async (sql) => {
    const cells = [];
    for (const [keyCount, modelCount] of grids) {
      cells.push(await measureGrid(sql, keyCount, modelCount));
    }
    console.table(cells);
  });
}

/** Claims jobs and forecasts their turns in queues of these lengths. */
export function claimTimes(queues: readonly number[]): Promise<ClaimTimes[]> {
  return withDatabase(async (sql) => {
    const times: ClaimTimes[] = [];
    for (const length of queues) {
      times.push(await claimTimesAt(sql, length));
    }
    return times;
  });
}

async function withDatabase<T>(use: (sql: Sql) => Promise<T>): Promise<T> {
  const folder = makeTemporaryFolder();
  // Root's PostgreSQL runs as another user.
  await chmod(folder, 0o711);
  const dataFolder = { path: folder, temporary: false, close: async () => {} };
  const database = await openDatabase({ url: '', dataFolder, log: createLogger('bench', 'silent') });
  try {
    return await use(database.sql);
  } finally {
    await database.close();
    await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

async function claimTimesAt(sql: Sql, length: number): Promise<ClaimTimes> {
  await fill(sql, length);
  const samples: number[] = [];
  for (let round = 0; round < rounds; round++) {
    for (let claim = 0; claim < claimsPerRound; claim++) {
      const started = performance.now();
      await claimJob(sql, { owner: 'bench', running: [], models: [{ model: '', version: '' }], take: 'waiting' });
      samples.push(performance.now() - started);
    }
    await add(sql, claimsPerRound, 1_000_000 + round * claimsPerRound);
  }
  const forecasts: number[] = [];
  for (let count = 0; count < 3 * rounds; count++) {
    const started = performance.now();
    new Forecast(await readQueue(sql, 8), () => preset);
    forecasts.push(performance.now() - started);
  }
  process.stderr.write(`claims: queue of ${length} done\n`);
  return {
    length,
    claim: quantile(samples, 0.5),
    slowClaim: quantile(samples, 0.99),
    forecast: quantile(forecasts, 0.5),
  };
}

async function measureGrid(sql: Sql, keyCount: number, modelCount: number) {
  await empty(sql, keyCount);
  for (let first = 0; first < keyCount * jobsPerKey; first += maxAdded) {
    await add(sql, maxAdded, first, keyCount, modelCount);
  }
  await sql`analyze`;
  const models = Array.from({ length: modelCount }, (_, index) => ({ model: `model${index}`, version: '' }));
  const samples: number[] = [];
  for (let claim = 0; claim < 2 * claimsPerRound; claim++) {
    const started = performance.now();
    await claimJob(sql, { owner: 'bench', running: [], models, take: 'waiting' });
    samples.push(performance.now() - started);
  }
  return { keys: keyCount, models: modelCount, 'claim, median ms': Number(quantile(samples, 0.5).toFixed(2)) };
}

async function empty(sql: Sql, keyCount: number): Promise<void> {
  await sql`truncate jobs, key_loads cascade`;
  await sql`delete from api_keys`;
  await sql`
    insert into api_keys (id, name, secret_hash, scopes, share)
    select 'key' || n, 'key' || n, '', '{create}', 1 + n % 7 from generate_series(0, ${keyCount - 1}::int) as n`;
}

async function fill(sql: Sql, length: number): Promise<void> {
  await empty(sql, keys);
  for (let first = 0; first < length; first += maxAdded) {
    await add(sql, Math.min(maxAdded, length - first), first);
  }
  await sql`analyze`;
}

/** @param modelCount 0: jobs of the unnamed model */
async function add(sql: Sql, count: number, first: number, keyCount = keys, modelCount = 0): Promise<void> {
  await sql`
    insert into jobs (id, key_id, model, client_id, fingerprint, state, priority, work, settings, previews, warnings)
    select 'job' || n, 'key' || n % ${keyCount}::int,
      case when ${modelCount}::int > 0 then 'model' || (n / ${keyCount}::int) % greatest(1, ${modelCount}::int) else '' end, '', '', 'queued', n % 11 - 5, 1 + n % 5,
      ${sql.json(storeSettings(newJob.settings) as never)}, false, '[]'
    from generate_series(${first}::int, ${first + count - 1}::int) as n`;
}
