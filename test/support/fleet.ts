import { chmod, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readPostmasterFile } from '../../gateway/database/embedded/postmaster-file.ts';
import { type Database, openDatabase } from '../../gateway/database/open-database.ts';
import { createLogger } from '../../services/kit/log.ts';
import { makeTemporaryFolder } from '../../services/kit/temporary-folder.ts';
import { addressVariable, stageNames } from '../../services/pipeline/stages.ts';
import { type ServiceProcess, startService } from './cli.ts';
import { freePorts } from './free-ports.ts';
import { Network } from './network.ts';
import { tinyPreset } from './tiny-preset.ts';

export const serviceKinds = ['gateway', ...stageNames, 'inference'] as const;

export type ServiceKind = (typeof serviceKinds)[number];
/** What can be killed. */
export type ProcessKind = ServiceKind | 'postgres';

export interface FleetOptions {
  gateways?: number;
  /** Replicas of each stage. */
  stages?: number;
  inference?: number;
  /** Name or path. Default: {@link tinyPreset}. */
  preset?: string;
  /** Of every gateway. */
  gatewayEnvironment?: Record<string, string>;
  /** Whether all connections go through a {@link Network}, and files into a bucket. Default false. */
  hasNetwork?: boolean;
}

interface Member {
  listen: string;
  environment: Record<string, string>;
  /** `undefined` while it is not running. */
  process: ServiceProcess | undefined;
}

/** All services on separate processes around one embedded PostgreSQL, for tests to kill. */
export class Fleet {
  /** Direct access to the database, bypassing the network. This process restarts the server like gateways do. */
  readonly database: Database;
  readonly #folder: string;
  /** PostgreSQL's data. */
  readonly #cluster: string;
  readonly #members: ReadonlyMap<ServiceKind, Member[]>;
  /** The network between the processes; `undefined` if they connect directly. */
  readonly network: Network | undefined;

  private constructor(
    folder: string,
    members: ReadonlyMap<ServiceKind, Member[]>,
    database: Database,
    cluster: string,
    network: Network | undefined,
  ) {
    this.network = network;
    this.#folder = folder;
    this.#cluster = cluster;
    this.#members = members;
    this.database = database;
  }

  static async start(options: FleetOptions = {}) {
    const { gateways = 1, stages = 1, inference = 1, preset = tinyPreset } = options;
    const { gatewayEnvironment = {}, hasNetwork = false } = options;
    const folder = makeTemporaryFolder();
    // Root's PostgreSQL runs as another user.
    await chmod(folder, 0o711);
    // Leftovers of killed processes are removed with the fleet.
    const temporary = join(folder, 'temporary');
    await mkdir(temporary);
    const network = hasNetwork ? await Network.start() : undefined;
    const members = new Map<ServiceKind, Member[]>();
    const plan = async (kind: ServiceKind, count: number, environment: Record<string, string>) => {
      const common = {
        FUSIONFRAMES_PRESET: preset,
        FUSIONFRAMES_LOG_LEVEL: 'error',
        TMPDIR: temporary,
        ...environment,
      };
      const listens = (await freePorts(count)).map((port) => `127.0.0.1:${port}`);
      members.set(
        kind,
        listens.map((listen) => ({ listen, environment: common, process: undefined })),
      );
      const reached = network && kind !== 'gateway' ? listens.map((each) => network.addressOf(kind, each)) : listens;
      const addresses = await Promise.all(reached);
      return count === 1 ? addresses[0]! : `ipv4:${addresses.join(',')}`;
    };
    const openOwnDatabase = () =>
      openDatabase({
        url: '',
        dataFolder: { path: folder, temporary: false, close: async () => {} },
        log: createLogger('fleet', 'silent'),
        connections: 2,
      });
    let database = network && (await openOwnDatabase());
    const backend = { FUSIONFRAMES_INFERENCE_ADDRESS: await plan('inference', inference, {}) };
    const addresses: Record<string, string> = {};
    for (const stage of stageNames) {
      addresses[addressVariable(stage)] = await plan(stage, stages, backend);
    }
    const data = { FUSIONFRAMES_DATA_FOLDER: folder, FUSIONFRAMES_DRAIN_SECONDS: '0' };
    const remote = network && database ? await network.gatewayEnvironment(database.url) : {};
    // Every video runs all its stages, also the second one of the same request.
    const own = { FUSIONFRAMES_KEEP_RESULTS_HOURS: '0', ...gatewayEnvironment };
    await plan('gateway', gateways, { ...addresses, ...data, ...remote, ...own });
    const all = [...members].flatMap(([kind, each]) => each.map((member) => [kind, member] as const));
    try {
      // Callees start first: an early gateway's channel would still be backing off at its first call.
      for (const wave of [['inference'], stageNames, ['gateway']] as readonly (readonly string[])[]) {
        const starts = all.filter(([kind]) => wave.includes(kind)).map((each) => startMember(...each));
        // Waits for all, so that none is left behind when one fails.
        await Promise.allSettled(starts);
        await Promise.all(starts);
      }
      database ??= await openOwnDatabase();
      const [{ cluster }] = await database.sql<[{ cluster: string }]>`
        select current_setting('data_directory') as cluster`;
      return new Fleet(folder, members, database, cluster, network);
    } catch (error) {
      await Promise.all(all.map(([, member]) => member.process?.kill()));
      await database?.close();
      await network?.close();
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Starts another gateway like the first; resolves with its address. */
  async addGateway(): Promise<string> {
    const gateways = this.#members.get('gateway')!;
    const member = { ...gateways[0]!, listen: `127.0.0.1:${await freePorts(1)}` };
    gateways.push(member);
    await startMember('gateway', member);
    return member.listen;
  }

  get gatewayAddresses(): string[] {
    return this.#members.get('gateway')!.map(({ listen }) => listen);
  }

  /** Number of processes of a kind. */
  count(kind: ProcessKind): number {
    return kind === 'postgres' ? 1 : this.#members.get(kind)!.length;
  }

  /** The gateway working on a job; `undefined` if there is none. */
  async gatewayOf(id: string): Promise<number | undefined> {
    const [job] = await this.database.sql<{ owner: string | null }[]>`select owner from jobs where id = ${id}`;
    // host/process/start
    const pid = Number(job?.owner?.split('/').at(-2));
    const index = this.#members.get('gateway')!.findIndex(({ process }) => process?.child.pid === pid);
    return index === -1 ? undefined : index;
  }

  /** The name under which a gateway holds leases; `undefined` if it holds none. */
  async ownerName(index: number): Promise<string | undefined> {
    const pid = this.#members.get('gateway')![index]!.process?.child.pid;
    const [job] = await this.database.sql<{ owner: string }[]>`
      select owner from jobs where owner like ${`%/${pid}/%`} limit 1`;
    return job?.owner;
  }

  /** SIGSTOP: it keeps what it holds until it is killed or {@link resume}d. */
  pause(kind: ServiceKind, index = 0): void {
    this.#members.get(kind)![index]!.process!.child.kill('SIGSTOP');
  }

  /** SIGCONT, after {@link pause}. */
  resume(kind: ServiceKind, index = 0): void {
    this.#members.get(kind)![index]!.process!.child.kill('SIGCONT');
  }

  /**
   * SIGKILL; false if it was not running. PostgreSQL is restarted by its supervisors, everything else by {@link
   * restart}.
   */
  async kill(kind: ProcessKind, index = 0): Promise<boolean> {
    if (kind === 'postgres') {
      const server = await readPostmasterFile(this.#cluster);
      return server?.ready === true && process.kill(server.pid, 'SIGKILL');
    }
    const member = this.#members.get(kind)![index]!;
    const killed = member.process;
    member.process = undefined;
    await killed?.kill();
    return killed !== undefined;
  }

  /** Restarts it at the same address, like a supervisor. */
  async restart(kind: ProcessKind, index = 0): Promise<void> {
    if (kind !== 'postgres') {
      await startMember(kind, this.#members.get(kind)![index]!);
    }
  }

  async stop(): Promise<void> {
    await this.database.close();
    const all = [...this.#members.values()].flat();
    // In parallel: their state is no longer needed.
    await Promise.all(all.map(({ process }) => process?.kill()));
    await this.network?.close();
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

async function startMember(kind: ServiceKind, member: Member): Promise<void> {
  member.process = await startService(kind, member.environment, member.listen);
}
