import { gatewaySettings } from '../../gateway/settings.ts';
import { startGateway } from '../../gateway/start-gateway.ts';
import { type TestGateway, testRoute } from '../../gateway/testing/gateway.ts';
import { createLogger } from '../../services/kit/log.ts';
import { readSettings } from '../../services/kit/settings.ts';

/** Stops a gateway, and after `meanwhile` starts another in its place: same addresses, same database. */
export async function replaceGateway(
  { server, stages, data }: TestGateway,
  meanwhile: () => Promise<void>,
): Promise<{ stop(): Promise<void> }> {
  await server.stop();
  await meanwhile();
  return startGateway({
    ...readSettings(gatewaySettings, {}),
    address: server.address,
    httpAddress: server.httpAddress!,
    routes: [testRoute(stages.address)],
    log: createLogger('gateway', 'silent'),
    data,
    drainSeconds: 0,
  });
}
