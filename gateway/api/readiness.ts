import { Status } from 'nice-grpc-common';
import {
  HealthDefinition,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '../../proto/gen/grpc/health/v1/health.ts';
import { connect } from '../../services/kit/channel.ts';
import { FusionError, toFusionError } from '../../services/kit/errors.ts';
import { Scope } from '../../services/kit/scope.ts';
import type { ClientTls } from '../../services/kit/tls.ts';
import { awaitEachStage, forEachStage, type StageName } from '../../services/pipeline/stages.ts';
import type { GatewayData } from '../gateway-data.ts';
import type { ModelRoute } from '../models/model-route.ts';
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
  /** Calls during a check or shortly after it share its result. */
  check(): Promise<ReadinessState>;
  close(): Promise<void>;
}

/** Rejects if a dependency is unavailable. */
type Probe = (signal: AbortSignal) => Promise<unknown>;

/** How long a dependency may take to answer before it counts as unavailable. */
const probeMilliseconds = 2000;
/** Minimum interval between checks of the dependencies, since anyone may ask for them. */
const freshMilliseconds = 1000;

export function openReadiness(
  { database, objects }: Pick<GatewayData, 'database' | 'objects'>,
  routes: readonly ModelRoute[],
  tls?: ClientTls,
): Readiness {
  const scope = new Scope();
  const stageProbe = (address: string): Probe => {
    const { client } = scope.add(connect(HealthDefinition, address, tls && { tls }));
    return async (signal) => {
      const { status } = await client.check({ service: '' }, { signal });
      if (status !== ServingStatus.SERVING) {
        throw new FusionError(Status.UNAVAILABLE, `the stage at ${address} is not serving`);
      }
    };
  };
  const probed = routes.map((route) => ({
    route,
    probes: forEachStage((name) => stageProbe(route.stageAddresses[name])),
  }));
  const checkRoute = async ({ route, probes }: (typeof probed)[number]): Promise<RouteState> => {
    const stages = await awaitEachStage((name) => ask(probes[name]));
    return { route, stages, isReady: Object.values(stages).every((state) => state === 'ok') };
  };
  const check = async (): Promise<ReadinessState> => {
    const [databaseState, storage, ...states] = await Promise.all([
      ask(() => database.sql`select 1`),
      ask(() => probeObjects(objects)),
      ...probed.map(checkRoute),
    ]);
    return { shared: { database: databaseState, storage }, routes: states };
  };
  return { check: sharedFor(freshMilliseconds, check), close: () => scope.close() };
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

/** Runs `work` once at a time; calls during the run or up to `milliseconds` after it share its result. */
function sharedFor<T>(milliseconds: number, work: () => Promise<T>): () => Promise<T> {
  let latest: { promise: Promise<T>; until: number } | undefined;
  return () => {
    if (!latest || latest.until < performance.now()) {
      const promise = work();
      latest = { promise, until: Number.POSITIVE_INFINITY };
      const current = latest;
      promise.finally(() => (current.until = performance.now() + milliseconds)).catch(() => {});
    }
    return latest.promise;
  };
}
