import { ModelServiceDefinition } from '../../proto/gen/fusionframes/v1/model.ts';
import { connect, longCallSeconds } from '../../services/kit/channel.ts';
import { Scope } from '../../services/kit/scope.ts';
import type { ClientTls } from '../../services/kit/tls.ts';
import { forEachStage, type StageDefinition, type StageName, stages } from '../../services/pipeline/stages.ts';
import type { Stage } from './stage-call.ts';

/** The address of each stage, in the form that `connect()` takes. */
export type StageAddresses = Readonly<Record<StageName, string>>;

/** Clients of all stages. */
export type Stages = { readonly [N in StageName]: Stage<StageDefinition<N>> };

export interface ConnectedStages {
  stages: Stages;
  close(): Promise<void>;
}

/**
 * Creates clients of the stages without connecting: an unavailable stage is noticed at its first call.
 *
 * @param tls default: none
 */
export function connectStages(
  addresses: StageAddresses,
  progressTimeoutSeconds: number,
  tls?: ClientTls,
): ConnectedStages {
  const scope = new Scope();
  const connected = forEachStage((name) => {
    const address = addresses[name];
    const options = { callTimeoutSeconds: longCallSeconds, ...(tls && { tls }) };
    const { client, connected } = scope.add(connect(stages[name].definition, address, options));
    // On a channel of their own: calls that name a model would count as work of their replica.
    const { client: models } = scope.add(connect(ModelServiceDefinition, address, options));
    return { client, models, connected, name: stages[name].label, address, progressTimeoutSeconds };
  });
  return { stages: connected as unknown as Stages, close: () => scope.close() };
}

/** The same stages for one job: `onWait` receives the reason why a call waits for a replica, and undefined when it ends. */
export function stagesOfJob(all: Stages, onWait: Stage['onWait'] & object): Stages {
  return forEachStage((name) => ({ ...all[name], onWait })) as unknown as Stages;
}
