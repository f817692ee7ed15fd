import { type ModelRoute, singleRoute } from '../../gateway/models/model-route.ts';
import { type FileRoute, readRoutes } from '../../gateway/models/read-routes.ts';
import { gatewaySettings, routesSettings, stageAddressSettings } from '../../gateway/settings.ts';
import { startGateway } from '../../gateway/start-gateway.ts';
import { readSettings } from '../../services/kit/settings.ts';
import { weightsWarnings } from '../../triton-models/packaging/weights-warnings.ts';
import { openGatewayParts } from '../gateway-parts.ts';
import { signedWeights } from '../signed-weights.ts';
import type { ServedService } from './served-service.ts';

export const gateway: ServedService = {
  settings: [gatewaySettings, routesSettings, stageAddressSettings],
  prepare: ([usual]) => {
    const settings = readSettings(gatewaySettings);
    const { routesFile } = readSettings(routesSettings);
    const stageAddresses = readSettings(stageAddressSettings);
    const described =
      routesFile === ''
        ? ([singleRoute({ preset: usual, stageAddresses })] as const)
        : readRoutes(routesFile, routesSettings.routesFile.name);
    return async ({ address, log, tls, scope }) => {
      const parts = await openGatewayParts(settings, log, scope);
      const data = await parts.data;
      const complete = async (route: FileRoute): Promise<ModelRoute> => ({
        ...route,
        warnings: await weightsWarnings(route.preset),
        weights: await signedWeights(route.preset, settings, scope.signal),
      });
      const [first, ...others] = described;
      const routes = [await complete(first), ...(await Promise.all(others.map(complete)))] as const;
      return scope.open((signal) =>
        startGateway({
          ...settings,
          address,
          routes,
          data,
          provenance: parts.provenance,
          log,
          serverTls: tls?.publicServer,
          stageTls: tls?.client,
          signal,
        }),
      );
    };
  },
};
