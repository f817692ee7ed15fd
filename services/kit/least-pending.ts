import {
  type ChannelOptions,
  type connectivityState as ConnectivityState,
  connectivityState,
  experimental,
  status,
} from '@grpc/grpc-js';

/** Name of the policy in a service config. */
export const leastPending = 'fusionframes_least_pending';

/** Channel option with the {@link Replicas} that the policy keeps up to date. */
export const replicasOption = 'fusionframes.replicas';

/** The replicas behind a channel's address. */
export interface Replicas {
  /** Number of those that are connected. */
  ready: number;
}

/** A failed call counts as this many pending ones for this time, so that its repetition goes elsewhere. */
const failureCalls = 10;
const failureSeconds = 10;

/** Statuses that speak against the replica; others are the caller's doing, or their request's. */
const failures: ReadonlySet<status> = new Set([
  status.UNKNOWN,
  status.DEADLINE_EXCEEDED,
  status.RESOURCE_EXHAUSTED,
  status.INTERNAL,
  status.UNAVAILABLE,
  status.DATA_LOSS,
]);

type Helper = Parameters<typeof experimental.createChildChannelControlHelper>[0];
type Endpoints = Parameters<experimental.LoadBalancer['updateAddressList']>[0];

/** Calls of this channel that an address is working on. */
class Load {
  pending = 0;

  /** A picker whose calls count. */
  counted(picker: experimental.Picker): experimental.Picker {
    return {
      pick: (args) => {
        const picked = picker.pick(args);
        if (picked.pickResultType !== experimental.PickResultType.COMPLETE) {
          return picked;
        }
        let [isCounted, hasStarted] = [true, false];
        this.pending++;
        const discount = () => {
          this.pending -= isCounted ? 1 : 0;
          isCounted = false;
        };
        // Calls start a moment after they were picked, and some never do: those have no end.
        setImmediate(() => hasStarted || discount());
        return {
          ...picked,
          onCallStarted: () => {
            hasStarted = true;
            this.pending += isCounted ? 0 : 1;
            isCounted = true;
            picked.onCallStarted?.();
          },
          onCallEnded: (code, details, metadata) => {
            discount();
            if (failures.has(code)) {
              // A replica that fails at once has few pending calls: without this it would get all of them.
              this.pending += failureCalls;
              setTimeout(() => (this.pending -= failureCalls), failureSeconds * 1000).unref();
            }
            picked.onCallEnded?.(code, details, metadata);
          },
        };
      },
    };
  }
}

interface Replica {
  leaf: experimental.LeafLoadBalancer;
  load: Load;
}

/** Picks one of the least loaded replicas, at random: calls that take turns in length would keep step with a rotation. */
function pickerOf(replicas: readonly Replica[]): experimental.Picker {
  return {
    pick(args) {
      const fewest = Math.min(...replicas.map(({ load }) => load.pending));
      const free = replicas.filter(({ load }) => load.pending === fewest);
      const { leaf, load } = free[Math.floor(Math.random() * free.length)]!;
      return load.counted(leaf.getPicker()).pick(args);
    },
  };
}

class LeastPendingConfig implements experimental.TypedLoadBalancingConfig {
  getLoadBalancerName(): string {
    return leastPending;
  }

  toJsonObject(): object {
    return { [leastPending]: {} };
  }

  static createFromJson(): LeastPendingConfig {
    return new LeastPendingConfig();
  }
}

/**
 * Sends each call to the address with the fewest pending calls of this channel, and keeps connections to all of them. Unlike
 * in a rotation, a replica that has a long call does not get the next one while others are free.
 */
class LeastPendingBalancer implements experimental.LoadBalancer {
  readonly #helper: Helper;
  readonly #ofReplicas: Helper;
  #replicas: Replica[] = [];
  /** By address. They outlive a new list of addresses, as their calls do. */
  #loads = new Map<string, Load>();
  #state: ConnectivityState = connectivityState.IDLE;
  #counted: Replicas | undefined;
  #isUpdating = false;
  #lastError = '';

  constructor(helper: Helper) {
    this.#helper = helper;
    this.#ofReplicas = experimental.createChildChannelControlHelper(helper, {
      updateState: (state, _picker, error) => {
        if (this.#state === connectivityState.READY && state !== connectivityState.READY) {
          // A replica may have been replaced by one at another address.
          helper.requestReresolution();
        }
        this.#lastError = error ?? this.#lastError;
        this.#update();
      },
    });
  }

  updateAddressList(
    endpoints: Endpoints,
    config: experimental.TypedLoadBalancingConfig,
    options: ChannelOptions,
    resolutionNote: string,
  ): boolean {
    if (!(config instanceof LeastPendingConfig)) {
      return false;
    }
    if (!endpoints.ok) {
      if (this.#replicas.length === 0) {
        this.#fail(endpoints.error.details, endpoints.error);
      }
      return true;
    }
    this.destroy();
    this.#isUpdating = true;
    // Channels whose other options are equal share their connections.
    const { [replicasOption]: counted, ...ofLeaves } = options;
    this.#counted = counted;
    const loads = new Map<string, Load>();
    this.#replicas = endpoints.value.map((endpoint) => {
      const address = experimental.endpointToString(endpoint);
      const load = this.#loads.get(address) ?? new Load();
      loads.set(address, load);
      return { leaf: new experimental.LeafLoadBalancer(endpoint, this.#ofReplicas, ofLeaves, resolutionNote), load };
    });
    this.#loads = loads;
    for (const { leaf } of this.#replicas) {
      leaf.startConnecting();
    }
    this.#isUpdating = false;
    if (this.#replicas.length === 0) {
      this.#fail(`No addresses resolved. Resolution note: ${resolutionNote}`);
    } else {
      this.#update();
    }
    return true;
  }

  exitIdle(): void {
    // Replicas are never left idle.
  }

  resetBackoff(): void {
    // There is none.
  }

  destroy(): void {
    for (const { leaf } of this.#replicas) {
      leaf.destroy();
    }
    this.#replicas = [];
    this.#count(0);
  }

  getTypeName(): string {
    return leastPending;
  }

  #update(): void {
    if (this.#isUpdating) {
      return;
    }
    const { READY, CONNECTING, TRANSIENT_FAILURE, IDLE } = connectivityState;
    const inState = (state: ConnectivityState) =>
      this.#replicas.filter(({ leaf }) => leaf.getConnectivityState() === state);
    const ready = inState(READY);
    this.#count(ready.length);
    if (ready.length > 0) {
      this.#report(READY, pickerOf(ready), null);
    } else if (inState(CONNECTING).length > 0) {
      this.#report(CONNECTING, new experimental.QueuePicker(this), null);
    } else if (inState(TRANSIENT_FAILURE).length > 0) {
      this.#fail(`${leastPending}: No connection established. Last error: ${this.#lastError}`);
    } else {
      this.#report(IDLE, new experimental.QueuePicker(this), null);
    }
    for (const { leaf } of inState(IDLE)) {
      leaf.exitIdle();
    }
  }

  #count(ready: number): void {
    if (this.#counted) {
      this.#counted.ready = ready;
    }
  }

  #fail(details: string, problem: { details: string } = { details }): void {
    this.#report(connectivityState.TRANSIENT_FAILURE, new experimental.UnavailablePicker(problem), details);
  }

  #report(state: ConnectivityState, picker: experimental.Picker, error: string | null): void {
    this.#state = state;
    this.#helper.updateState(state, picker, error);
  }
}

/** Makes the policy known to grpc-js. */
export function registerLeastPending(): void {
  experimental.registerLoadBalancerType(leastPending, LeastPendingBalancer, LeastPendingConfig);
}
