import { Status } from 'nice-grpc-common';
import {
  HealthDefinition,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '../../proto/gen/grpc/health/v1/health.ts';
import { type Connection, connect } from '../../services/kit/channel.ts';
import { FusionError, toFusionError } from '../../services/kit/errors.ts';
import { noConnection } from '../../services/kit/no-connection.ts';
import type { ClientTls } from '../../services/kit/tls.ts';
import { awaitEachStage, type StageName } from '../../services/pipeline/stages.ts';
import type { GatewayData } from '../gateway-data.ts';
import type { ModelRoute } from '../models/model-route.ts';
import type { Models } from '../models/models.ts';
import type { ObjectStore } from '../storage/object-store.ts';

/** State of a part: `ok`, or the kind of failure. Anyone can read it, so it has no details. */
type PartState = string;

export interface RouteState {
  route: ModelRoute;
  stages: Readonly<Record<StageName, PartState>>;
  /** Whether every stage responds. */
  isReady: boolean;
}

export interface ReadinessState {
  /** Database and storage, which every video needs. */
  shared: Readonly<Record<string, PartState>>;
  routes: readonly RouteState[];
}

/** Checks everything a video needs. */
export interface Readiness {
  /** Calls within a second share a check. */
  check(): Promise<ReadinessState>;
  close(): Promise<void>;
}

/** Rejects if a dependency is unavailable. */
type Probe = (signal: AbortSignal) => Promise<unknown>;

/** How long a dependency may take to answer before it counts as unavailable. */
const probeMilliseconds = 2000;

/**
 * Opens the connections that checks need.
 *
 * @param freshMilliseconds how long calls share a check, since anyone may ask for one
 */
export function openReadiness(
  { database, objects }: Pick<GatewayData, 'database' | 'objects'>,
  models: Models,
  tls?: ClientTls,
  freshMilliseconds = 1000,
): Readiness {
  const probes = new StageProbes(tls);
  const checkRoute = async (route: ModelRoute): Promise<RouteState> => {
    const stages = await awaitEachStage((name) => ask(probes.at(route.stageAddresses[name])));
    return { route, stages, isReady: Object.values(stages).every((state) => state === 'ok') };
  };
  const check = async (): Promise<ReadinessState> => {
    const { routes } = models;
    probes.keep(routes);
    const [databaseState, storage, ...states] = await Promise.all([
      ask(() => database.sql`select 1`),
      ask(() => probeObjects(objects)),
      ...routes.map(checkRoute),
    ]);
    return { shared: { database: databaseState, storage }, routes: states };
  };
  return { check: sharedFor(freshMilliseconds, check), close: async () => probes.keep([]) };
}

type StageConnection = Connection<typeof HealthDefinition>;

/** One connection for each address of a stage. */
class StageProbes {
  readonly #tls: ClientTls | undefined;
  readonly #connections = new Map<string, StageConnection>();

  constructor(tls: ClientTls | undefined) {
    this.#tls = tls;
  }

  at(address: string): Probe {
    return async (signal) => {
      const kept = this.#connections.get(address);
      try {
        await requireServing(kept ?? this.#connect(address), address, signal);
      } catch (error) {
        if (kept === undefined || !(error instanceof FusionError) || error.reason !== noConnection) {
          throw error;
        }
        // It waits before its next attempt; meanwhile the stage may have started.
        await requireServing(this.#replace(address, kept), address, signal);
      }
    };
  }

  /** Closes the connections that these routes do not need. */
  keep(routes: readonly ModelRoute[]): void {
    const needed = new Set(routes.flatMap(({ stageAddresses }) => Object.values(stageAddresses)));
    for (const [address, connection] of this.#connections) {
      if (!needed.has(address)) {
        connection.close();
        this.#connections.delete(address);
      }
    }
  }

  #replace(address: string, broken: StageConnection): StageConnection {
    const current = this.#connections.get(address);
    if (current !== undefined && current !== broken) {
      return current;
    }
    broken.close();
    return this.#connect(address);
  }

  #connect(address: string): StageConnection {
    const connection = connect(HealthDefinition, address, {
      ownConnections: true,
      ...(this.#tls && { tls: this.#tls }),
    });
    this.#connections.set(address, connection);
    return connection;
  }
}

async function requireServing({ client }: StageConnection, address: string, signal: AbortSignal): Promise<void> {
  const { status } = await client.check({ service: '' }, { signal });
  if (status !== ServingStatus.SERVING) {
    throw new FusionError(Status.UNAVAILABLE, `the stage at ${address} is not serving`);
  }
}

async function ask(probe: Probe): Promise<PartState> {
  const late = new AbortController();
  const timeout = new Promise<string>((resolve) => {
    setTimeout(() => {
      late.abort();
      resolve('timeout');
    }, probeMilliseconds).unref();
  });
  const answer = probe(late.signal).then(
    () => 'ok',
    (error: unknown) => toFusionError(error).codeName.toLowerCase(),
  );
  return Promise.race([answer, timeout]);
}

/** A store that reports a missing object is available. */
async function probeObjects(objects: ObjectStore): Promise<void> {
  try {
    (await objects.open('readiness')).stream.destroy();
  } catch (error) {
    if (!(error instanceof FusionError) || error.code !== Status.NOT_FOUND) {
      throw error;
    }
  }
}

/**
 * Runs `work` once at a time. Calls share the result of a run that began less than `milliseconds` ago; later ones wait for the
 * next run.
 */
function sharedFor<T>(milliseconds: number, work: () => Promise<T>): () => Promise<T> {
  let latest: { promise: Promise<T>; began: number } | undefined;
  let next: Promise<T> | undefined;
  const run = () => {
    next = undefined;
    latest = { promise: work(), began: performance.now() };
    return latest.promise;
  };
  return () => {
    if (latest === undefined) {
      return run();
    }
    if (performance.now() - latest.began < milliseconds) {
      return latest.promise;
    }
    next ??= latest.promise.then(run, run);
    return next;
  };
}
