import { Command, Option } from 'commander';
import { Status } from 'nice-grpc-common';
import type { Sql } from 'postgres';
import { openDataFolder } from '../gateway/data-folder.ts';
import { type ApiKey, type ApiKeyChanges, type NewApiKey, newSecret, requireValid } from '../gateway/keys/api-key.ts';
import type { ApiKeys } from '../gateway/keys/api-keys.ts';
import { type Budget, formatBudget, parseBudget } from '../gateway/keys/budget.ts';
import { type CallerLimits, type Scope, scopes } from '../gateway/keys/caller.ts';
import { gatewaySettings } from '../gateway/settings.ts';
import { FusionError, invalidField } from '../services/kit/errors.ts';
import { createLogger } from '../services/kit/log.ts';
import { readSettings } from '../services/kit/settings.ts';
import { formatTable } from '../services/kit/table.ts';
import { interruptSignal } from './interrupt.ts';
import { formatText, formatTime } from './table-cells.ts';

interface KeyOptions {
  name?: string;
  scopes?: string;
  concurrentJobs?: string;
  queuedJobs?: string;
  requestsPerMinute?: string;
  maxSteps?: string;
  maxFrames?: string;
  maxPriority?: string;
  share?: string;
  budget?: string;
  json?: boolean;
}

/** The settings of a key: flag, description, and the value for a new key. */
const keyFlags = [
  ['--scopes <list>', `comma-separated scopes: ${scopes.join(', ')}`, 'read,create'],
  ['--concurrent-jobs <n>', 'maximum running jobs; 0: no limit', '4'],
  ['--queued-jobs <n>', 'maximum queued jobs; 0: no limit', '100'],
  ['--requests-per-minute <n>', 'maximum requests a minute, over all replicas; 0: no limit', '600'],
  ['--max-steps <n>', 'maximum denoising steps of a network in a job; 0: no limit', '100'],
  ['--max-frames <n>', 'maximum frames of a video; 0: no limit', '0'],
  ['--max-priority <n>', 'highest priority of its jobs, -100 to 100', '0'],
  ['--share <n>', 'weight when jobs of several keys wait, 1 to 1000', '1'],
  [
    '--budget <list>',
    'what it may use, such as 100-videos/day or 3600-seconds/month, comma-separated; seconds are time in the stages, days and months are in UTC',
    'none',
  ],
] as const;

const maxNameWidth = 32;

const limitHeadings = ['running', 'queued', 'requests/min', 'steps', 'frames', 'priority', 'share'];
const headings = ['id', 'name', 'scopes', ...limitHeadings, 'budget', 'created', 'last used', 'revoked'];

export function keysCommand(): Command {
  const json = new Option('--json', 'print JSON');
  return new Command('keys')
    .description("Manage the API keys in the gateway's database (same DATABASE_URL or FUSIONFRAMES_DATA_FOLDER).")
    .addCommand(
      keyFlags
        .reduce(
          (command, [flags, description, value]) => command.option(flags, description, value),
          new Command('create')
            .description('Create a key and print it, once. From the first key on, callers without one are rejected.')
            .argument('<name>', 'its owner or purpose'),
        )
        .addOption(json)
        .action(create),
    )
    .addCommand(
      keyFlags
        .reduce(
          (command, [flags, description]) => command.option(flags, description),
          new Command('update')
            .description(
              'Change a key; takes effect on every replica within seconds. Options that are not given keep their value.',
            )
            .argument('<id>', 'the 12 digits after ff_')
            .option('--name <name>', 'its owner or purpose'),
        )
        .addOption(json)
        .action(update),
    )
    .addCommand(
      new Command('generate')
        .description(
          'Print a new key without storing it, for FUSIONFRAMES_FIRST_API_KEY: the gateway creates it at startup.',
        )
        .action(() => void process.stdout.write(`${newSecret().text}\n`)),
    )
    .addCommand(
      new Command('list')
        .description('List the keys, including revoked ones, without secrets.')
        .addOption(json)
        .action(list),
    )
    .addCommand(
      new Command('revoke')
        .description('Revoke a key and cancel its jobs; takes effect on every replica within seconds.')
        .argument('<id>', 'the 12 digits after ff_')
        .option('--keep-jobs', 'do not cancel its jobs')
        .addOption(json)
        .action(revoke),
    );
}

async function create(name: string, options: KeyOptions): Promise<void> {
  // Every flag has a default.
  const wanted = { name, ...parseKeyOptions(options) } as NewApiKey;
  // Before opening the database, which may take a while.
  requireValid(wanted);
  const { key, text } = await withKeys((keys) => keys.create(wanted));
  if (options.json) {
    print({ ...toJson(key), key: text });
  } else {
    process.stdout.write(`${text}\n`);
    process.stderr.write(`key ${key.id} for ${key.name} (${key.scopes.join(', ')}); it is not shown again\n`);
  }
}

async function update(id: string, options: KeyOptions): Promise<void> {
  const { json, ...given } = options;
  if (Object.keys(given).length === 0) {
    throw new FusionError(Status.INVALID_ARGUMENT, 'name at least one option to change, see --help');
  }
  const changes = parseKeyOptions(given);
  const key = await withKeys((keys) => keys.update(id, changes));
  if (json) {
    print(toJson(key));
  } else {
    process.stdout.write(formatTable(headings, [row(key)]));
  }
}

async function list({ json }: { json?: boolean }): Promise<void> {
  const keys = await withKeys((all) => all.list());
  if (json) {
    print(keys.map(toJson));
    return;
  }
  process.stdout.write(formatTable(headings, keys.map(row)));
}

async function revoke(id: string, { keepJobs, json }: { keepJobs?: boolean; json?: boolean }): Promise<void> {
  const { cancelJobsOfKey } = await import('../gateway/jobs/store/end-job.ts');
  const { key, cancelled } = await withKeys(async (keys, sql) => ({
    key: await keys.revoke(id),
    cancelled: keepJobs ? 0 : await cancelJobsOfKey(sql, id),
  }));
  if (json) {
    print({ ...toJson(key), cancelledJobs: cancelled });
  } else {
    const jobs = cancelled > 0 ? `; its jobs are cancelled: ${cancelled}` : '';
    process.stdout.write(`key ${key.id} for ${formatText(key.name, maxNameWidth)} is revoked${jobs}\n`);
  }
}

async function withKeys<T>(use: (keys: ApiKeys, sql: Sql) => Promise<T>): Promise<T> {
  const settings = readSettings(gatewaySettings);
  if (settings.databaseUrl === '' && settings.dataFolder === '') {
    throw new FusionError(
      Status.INVALID_ARGUMENT,
      "set DATABASE_URL or FUSIONFRAMES_DATA_FOLDER to the gateway's value: its keys are stored there",
      { reason: 'INVALID_SETTING' },
    );
  }
  const [{ openDatabase }, { ApiKeys }] = await Promise.all([
    import('../gateway/database/open-database.ts'),
    import('../gateway/keys/api-keys.ts'),
  ]);
  const dataFolder = await openDataFolder(settings.dataFolder);
  try {
    const database = await openDatabase({
      url: settings.databaseUrl,
      dataFolder,
      log: createLogger('keys', 'error'),
      signal: interruptSignal(),
      connections: 1,
    });
    return await use(new ApiKeys(database.sql), database.sql).finally(() => database.close());
  } finally {
    await dataFolder.close();
  }
}

/** What the options name. A limit of `undefined` is no limit. */
function parseKeyOptions({ name, scopes: list, budget, share, ...options }: KeyOptions): ApiKeyChanges {
  const limit = <N extends keyof CallerLimits>(field: N, flag: string, text: string | undefined) =>
    text === undefined ? {} : { [field]: parseLimit(flag, text) };
  const cap = <N extends keyof CallerLimits>(field: N, flag: string, text: string | undefined) =>
    text === undefined ? {} : { [field]: parseLimit(flag, text) || undefined };
  return {
    ...(name !== undefined && { name }),
    ...(list !== undefined && { scopes: [...new Set(list.split(',').map((scope) => scope.trim()))] as Scope[] }),
    limits: {
      ...limit('concurrentJobs', '--concurrent-jobs', options.concurrentJobs),
      ...limit('queuedJobs', '--queued-jobs', options.queuedJobs),
      ...limit('requestsPerMinute', '--requests-per-minute', options.requestsPerMinute),
      ...cap('maxSteps', '--max-steps', options.maxSteps),
      ...cap('maxFrames', '--max-frames', options.maxFrames),
      ...(options.maxPriority !== undefined && { maxPriority: parsePriority(options.maxPriority) }),
    },
    ...(share !== undefined && { share: parseShare(share) }),
    ...(budget !== undefined && { budgets: parseBudgets(budget) }),
  };
}

function parseBudgets(text: string): Budget[] {
  return text === 'none' ? [] : text.split(',').map((each) => parseBudget('--budget', each.trim()));
}

function parseLimit(option: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) {
    throw invalidField(option, text, 'a whole number, or 0 for no limit');
  }
  return Number(text);
}

function parsePriority(text: string): number {
  if (!/^-?\d{1,3}$/.test(text) || Math.abs(Number(text)) > 100) {
    throw invalidField('--max-priority', text, 'a whole number from -100 to 100');
  }
  return Number(text);
}

function parseShare(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text) || Number(text) > 1000) {
    throw invalidField('--share', text, 'a whole number from 1 to 1000');
  }
  return Number(text);
}

function row({
  id,
  name,
  scopes: allowed,
  limits,
  share,
  budgets,
  createdAt,
  lastUsedAt,
  revokedAt,
}: ApiKey): string[] {
  const limit = (value: number | undefined) => (value ? String(value) : '-');
  return [
    id,
    formatText(name, maxNameWidth),
    allowed.join(','),
    limit(limits.concurrentJobs),
    limit(limits.queuedJobs),
    limit(limits.requestsPerMinute),
    limit(limits.maxSteps),
    limit(limits.maxFrames),
    limits.maxPriority === undefined ? '-' : String(limits.maxPriority),
    String(share),
    budgets.map(formatBudget).join(',') || '-',
    ...[createdAt, lastUsedAt, revokedAt].map(formatTime),
  ];
}

function toJson({ id, name, scopes: allowed, limits, share, budgets, createdAt, lastUsedAt, revokedAt }: ApiKey) {
  return {
    id,
    name,
    scopes: allowed,
    limits,
    share,
    budgets: budgets.map(formatBudget),
    createdAt,
    lastUsedAt: lastUsedAt ?? null,
    revokedAt: revokedAt ?? null,
  };
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}
