import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Sql } from 'postgres';
import { parseHostPort } from '../../services/kit/addresses.ts';
import type { Logger } from '../../services/kit/log.ts';
import { Rerun } from '../../services/kit/rerun.ts';
import { ask } from '../database/ask.ts';
import { channels } from './store/channels.ts';
import { forgetGateway, type GatewayMode, type NameHolder, noteGateway, removeOldGateways } from './store/gateways.ts';

/** How often a gateway reports and reads its mode, seconds: a notification may get lost. */
const reportSeconds = 5;

/** How long removing the report of a gateway that stops may take, seconds. */
const forgetSeconds = 2;

export interface ReplicaOptions {
  sql: Sql;
  /** See {@link usualGatewayName}. */
  name: string;
  /** Jobs of each model and version that it runs at once. */
  concurrentJobs: number;
  log: Logger;
}

/**
 * This gateway among those on its database: reports that it is alive, and follows the mode that operators set. While another
 * live gateway has its name, it drains: operators could not tell the two apart.
 */
export class Replica {
  /** Unique to this start of the process, so that a restart never inherits leases by accident. */
  readonly owner = `${hostname()}/${process.pid}/${randomUUID()}`;
  readonly #options: ReplicaOptions;
  readonly #reporting: Rerun;
  #mode: GatewayMode = 'active';
  /** Has the name, at least until it turns out to have crashed. */
  #holder: NameHolder | undefined;
  #isNameTaken = false;
  #timer: NodeJS.Timeout | undefined;
  #onActive = () => {};

  constructor(options: ReplicaOptions) {
    this.#options = options;
    this.#reporting = new Rerun(
      () => this.#report(),
      // The next report tries again, and until then the mode stays.
      (error) => options.log.debug({ err: error }, 'cannot report this gateway'),
    );
  }

  get mode(): GatewayMode {
    return this.#mode;
  }

  /** Reads the mode, which a restart does not change, and starts following it. Calls `onActive` when jobs may start again. */
  async start(onActive: () => void): Promise<void> {
    const { sql } = this.#options;
    await ask(sql, () => removeOldGateways(sql));
    await this.#report();
    this.#onActive = onActive;
    this.#timer = setInterval(() => this.#reporting.run(), reportSeconds * 1000);
    // Also called after a reconnect, because notifications sent in between are lost.
    const follow = () => this.#timer && this.#reporting.run();
    await sql.listen(channels.gateways, follow, follow);
  }

  /** @param isReachable whether the database can be expected to answer */
  async stop(isReachable: boolean): Promise<void> {
    const wasStarted = this.#timer !== undefined;
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.#reporting.idle();
    if (wasStarted && isReachable) {
      const { sql, log } = this.#options;
      await ask(sql, () => forgetGateway(sql, this.owner), forgetSeconds).catch((error) =>
        // It is shown as silent until it is forgotten.
        log.debug({ err: error }, 'cannot remove the report of this gateway'),
      );
    }
  }

  async #report(): Promise<void> {
    const { sql, name, concurrentJobs, log } = this.#options;
    const before = this.#mode;
    const { mode, holder } = await ask(sql, () => noteGateway(sql, name, this.owner, concurrentJobs));
    this.#follow(holder);
    this.#mode = this.#isNameTaken ? 'draining' : mode;
    if (this.#mode !== before) {
      log.info({ gateway: name, mode: this.#mode, notice: true }, `this gateway is now ${this.#mode}`);
      if (this.#mode === 'active') {
        this.#onActive();
      }
    }
  }

  /** A holder of the name that reports again is alive. */
  #follow(holder: NameHolder | undefined): void {
    const { name, log } = this.#options;
    const wasTaken = this.#isNameTaken;
    const reportedAgain = holder !== undefined && this.#holder !== undefined && holder.seenAt > this.#holder.seenAt;
    this.#isNameTaken = holder !== undefined && (wasTaken || reportedAgain);
    this.#holder = holder;
    if (this.#isNameTaken && !wasTaken) {
      log.error(
        { gateway: name, other: holder?.owner },
        'another gateway has this name, so this one starts no jobs: give each its own FUSIONFRAMES_GATEWAY_NAME',
      );
    }
  }
}

/**
 * The usual name of a gateway that serves at this address: host name and port, the same after a restart. Without a fixed
 * port it is a different one at each start.
 */
export function usualGatewayName(address: string): string {
  const { port = 0 } = address.startsWith('unix:') ? {} : (parseHostPort(address) ?? {});
  // Short enough for a path.
  return `${hostname()
    .slice(0, 64)
    .replace(/[^\w.-]/g, '-')}:${port || randomUUID().slice(0, 8)}`;
}
