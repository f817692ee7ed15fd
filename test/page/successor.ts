import { gatewaySettings } from '../../gateway/settings.ts';
import { startGateway } from '../../gateway/start-gateway.ts';
import type { TestGateway } from '../../gateway/testing/gateway.ts';
import { createLogger } from '../../services/kit/log.ts';
import { readSettings } from '../../services/kit/settings.ts';
import { loadPreset } from '../../services/pipeline/preset.ts';
import { forEachStage } from '../../services/pipeline/stages.ts';

/** Stops a gateway, and after `meanwhile` starts another in its place: same addresses, same database. */
export async function replaceGateway(
  { server, stages, data }: TestGateway,
  meanwhile: () => Promise<void>,
): Promise<{ stop(): Promise<void> }> {
  await server.stop();
  await meanwhile();
  const { address } = stages;
  return startGateway({
    ...readSettings(gatewaySettings, {}),
    address: server.address,
    httpAddress: server.httpAddress!,
    preset: loadPreset('nano'),
    stageAddresses: forEachStage(() => address),
    log: createLogger('gateway', 'silent'),
    warnings: [],
    data,
    drainSeconds: 0,
  });
}
