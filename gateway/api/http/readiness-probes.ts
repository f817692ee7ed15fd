import { Status } from 'nice-grpc-common';
import {
  HealthDefinition,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '../../../proto/gen/grpc/health/v1/health.ts';
import { connect } from '../../../services/kit/channel.ts';
import { FusionError } from '../../../services/kit/errors.ts';
import { Scope } from '../../../services/kit/scope.ts';
import type { ClientTls } from '../../../services/kit/tls.ts';
import { forEachStage } from '../../../services/pipeline/stages.ts';
import type { GatewayData } from '../../gateway-data.ts';
import type { StageAddresses } from '../../stages/connect-stages.ts';
import type { ObjectStore } from '../../storage/object-store.ts';

/** Checks a dependency of the gateway; rejects if it is unavailable. */
export type Probe = (signal: AbortSignal) => Promise<unknown>;

/** Checks of everything a video needs: database, storage and every stage. */
export function readinessProbes(
  { database, objects }: Pick<GatewayData, 'database' | 'objects'>,
  stages: StageAddresses,
  tls?: ClientTls,
) {
  const scope = new Scope();
  const stageProbe = (address: string): Probe => {
    const { client } = scope.add(connect(HealthDefinition, address, tls && { tls }));
    return async (signal) => {
      const { status } = await client.check({ service: '' }, { signal });
      if (status !== ServingStatus.SERVING) {
        throw new FusionError(Status.UNAVAILABLE, `the stage at ${address} does not serve`);
      }
    };
  };
  const probes: Record<string, Probe> = {
    database: () => database.sql`select 1`,
    storage: () => probeObjects(objects),
    ...forEachStage((name) => stageProbe(stages[name])),
  };
  return { probes, close: () => scope.close() };
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
