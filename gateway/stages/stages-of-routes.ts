import type { ClientTls } from '../../services/kit/tls.ts';
import { stageNames } from '../../services/pipeline/stages.ts';
import { type ConnectedStages, connectStages, type StageAddresses, type Stages } from './connect-stages.ts';

interface Shared {
  connected: ConnectedStages;
  /** Jobs that use them. */
  users: number;
  isRouted: boolean;
}

/** Clients of the stages of all routes. Those of removed routes are closed once no job uses them. */
export class StagesOfRoutes {
  readonly #progressTimeoutSeconds: number;
  readonly #tls: ClientTls | undefined;
  readonly #shared = new Map<string, Shared>();

  constructor(progressTimeoutSeconds: number, tls?: ClientTls) {
    this.#progressTimeoutSeconds = progressTimeoutSeconds;
    this.#tls = tls;
  }

  /** Clients of a route's stages for one job, which calls `release` when it no longer needs them. */
  use(addresses: StageAddresses): { stages: Stages; release(): Promise<void> } {
    const key = keyOf(addresses);
    const shared = this.#shared.get(key) ?? this.#connect(key, addresses);
    shared.users++;
    return {
      stages: shared.connected.stages,
      release: async () => {
        shared.users--;
        await this.#closeUnused();
      },
    };
  }

  /** The routes have changed to these addresses. */
  async change(addresses: readonly StageAddresses[]): Promise<void> {
    const routed = new Set(addresses.map(keyOf));
    for (const [key, shared] of this.#shared) {
      shared.isRouted = routed.has(key);
    }
    await this.#closeUnused();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#shared.values()].map(({ connected }) => connected.close()));
    this.#shared.clear();
  }

  #connect(key: string, addresses: StageAddresses): Shared {
    const connected = connectStages(addresses, this.#progressTimeoutSeconds, this.#tls);
    const shared = { connected, users: 0, isRouted: true };
    this.#shared.set(key, shared);
    return shared;
  }

  async #closeUnused(): Promise<void> {
    const unused = [...this.#shared].filter(([, { users, isRouted }]) => users === 0 && !isRouted);
    for (const [key] of unused) {
      this.#shared.delete(key);
    }
    await Promise.all(unused.map(([, { connected }]) => connected.close()));
  }
}

function keyOf(addresses: StageAddresses): string {
  return JSON.stringify(stageNames.map((name) => addresses[name]));
}
