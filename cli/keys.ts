import { Command, Option } from 'commander';
import { Status } from 'nice-grpc-common';
import type { Sql } from 'postgres';
import { type DataFolder, openDataFolder } from '../gateway/data-folder.ts';
import { type ApiKey, newSecret } from '../gateway/keys/api-key.ts';
import { formatBudget } from '../gateway/keys/budget.ts';
import { initialText, type KeyValues, keyFields, keyName } from '../gateway/keys/key-fields.ts';
import type { KeyStore } from '../gateway/operator/change-keys.ts';
import { gatewaySettings } from '../gateway/settings.ts';
import { FusionError } from '../services/kit/errors.ts';
import { createLogger } from '../services/kit/log.ts';
import { readSettings } from '../services/kit/settings.ts';
import { formatTable } from '../services/kit/table.ts';
import { interruptSignal } from './interrupt.ts';
import { formatText, formatTime } from './table-cells.ts';
import { parseFlag } from './video-options.ts';

/** Options from the command line, by commander's names. */
type KeyOptions = Readonly<Record<string, unknown>> & { name?: string; json?: boolean };

/** Has no key. */
const commandLine = { keyId: '' };

const maxNameWidth = 32;

const limitHeadings = ['running', 'queued', 'requests/min', 'steps', 'frames', 'priority', 'share'];
const headings = ['id', 'name', 'scopes', ...limitHeadings, 'budget', 'created', 'last used', 'revoked'];

export function keysCommand(): Command {
  const json = new Option('--json', 'print JSON');
  return new Command('keys')
    .description("Manage the API keys in the gateway's database (same DATABASE_URL or FUSIONFRAMES_DATA_FOLDER).")
    .addCommand(
      addKeyFlags(
        new Command('create')
          .description('Create a key and print it, once. From the first key on, callers without one are rejected.')
          .argument('<name>', 'its owner or purpose'),
        (each) => ` (default: ${initialText(each)})`,
      )
        .addOption(json)
        .action(create),
    )
    .addCommand(
      addKeyFlags(
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
  const values = { ...readKeyFlags(options), name: parseFlag('name', keyName, name) };
  const { createKey } = await import('../gateway/operator/change-keys.ts');
  const { key, text } = await withKeys((store) => createKey(store, values, commandLine));
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
  const values = readKeyFlags(given);
  const { updateKey } = await import('../gateway/operator/change-keys.ts');
  const key = await withKeys((store) => updateKey(store, id, values, commandLine));
  if (json) {
    print(toJson(key));
  } else {
    process.stdout.write(formatTable(headings, [row(key)]));
  }
}

async function list({ json }: { json?: boolean }): Promise<void> {
  const keys = await withKeys(({ keys: all }) => all.list());
  if (json) {
    print(keys.map(toJson));
    return;
  }
  process.stdout.write(formatTable(headings, keys.map(row)));
}

async function revoke(id: string, { keepJobs = false, json }: { keepJobs?: boolean; json?: boolean }): Promise<void> {
  const { revokeKey } = await import('../gateway/operator/change-keys.ts');
  const { key, cancelled } = await withKeys((store, dataFolder) => {
    const cancelAllOfKey = (keyId: string) => cancelJobs(store.sql, dataFolder, keyId);
    return revokeKey({ ...store, jobs: { cancelAllOfKey } }, { id, keepJobs }, commandLine);
  });
  if (json) {
    print({ ...toJson(key), cancelledJobs: cancelled });
  } else {
    const jobs = cancelled > 0 ? `; its jobs are cancelled: ${cancelled}` : '';
    process.stdout.write(`key ${key.id} for ${formatText(key.name, maxNameWidth)} is revoked${jobs}\n`);
  }
}

async function cancelJobs(sql: Sql, dataFolder: DataFolder, keyId: string): Promise<number> {
  const [{ cancelJobsOfKey }, { openObjectStore }] = await Promise.all([
    import('../gateway/jobs/store/end-job.ts'),
    import('../gateway/storage/open-object-store.ts'),
  ]);
  // Without the storage the jobs are cancelled all the same.
  const objects = await openObjectStore(readSettings(gatewaySettings).storage, dataFolder).catch(() => undefined);
  return cancelJobsOfKey(sql, objects, keyId).finally(() => objects?.close());
}

async function withKeys<T>(use: (store: KeyStore, dataFolder: DataFolder) => Promise<T>): Promise<T> {
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
    const { sql } = database;
    return await use({ sql, keys: new ApiKeys(sql) }, dataFolder).finally(() => database.close());
  } finally {
    await dataFolder.close();
  }
}

/** Adds the flags of all fields of a key. */
function addKeyFlags(command: Command, more: (field: (typeof keyFields)[keyof typeof keyFields]) => string = () => '') {
  for (const field of Object.values(keyFields)) {
    command.option(field.flag, `${field.help}; ${field.kind.mustBe}${more(field)}`);
  }
  return command;
}

/** The values that the options name. Throws INVALID_ARGUMENT naming the flag. */
function readKeyFlags(options: KeyOptions): Partial<KeyValues> {
  const given = Object.entries(keyFields).flatMap(([name, { flag, kind }]) => {
    const { long, attributeName } = describeFlag(flag);
    const text = options[attributeName];
    return text === undefined ? [] : [[name, parseFlag<unknown>(long, kind, text)]];
  });
  const { name } = options;
  return { ...Object.fromEntries(given), ...(name !== undefined && { name: parseFlag('--name', keyName, name) }) };
}

function describeFlag(flag: string): { long: string; attributeName: string } {
  const option = new Option(flag);
  return { long: option.long!, attributeName: option.attributeName() };
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
