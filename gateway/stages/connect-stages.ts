import { connect, longCallSeconds } from '../../services/kit/channel.ts';
import { Scope } from '../../services/kit/scope.ts';
import type { ClientTls } from '../../services/kit/tls.ts';
import { forEachStage, type StageDefinition, type StageName, stages } from '../../services/pipeline/stages.ts';
import type { Stage } from './stage-call.ts';

/** Where each stage is reached, as `connect()` takes it. */
export type StageAddresses = Readonly<Record<StageName, string>>;

/** The stages, ready to be called. */
export type Stages = { readonly [N in StageName]: Stage<StageDefinition<N>> };

export interface ConnectedStages {
  stages: Stages;
  close(): Promise<void>;
}

/**
 * Clients of the stages. Nothing is sent yet: a stage that is down shows at its first call.
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
    return { client, connected, name: stages[name].label, address, progressTimeoutSeconds };
  });
  return { stages: connected as unknown as Stages, close: () => scope.close() };
}

/** The same stages as one job calls them: `onWait` is told why a call waits for a replica, and when it no longer does. */
export function stagesOfJob(all: Stages, onWait: Stage['onWait'] & object): Stages {
  return forEachStage((name) => ({ ...all[name], onWait })) as unknown as Stages;
}
