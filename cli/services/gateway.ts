import { openDataFolder } from '../../gateway/data-folder.ts';
import { openGatewayData } from '../../gateway/gateway-data.ts';
import { type ModelRoute, singleRoute } from '../../gateway/models/model-route.ts';
import { type FileRoute, readRoutes } from '../../gateway/models/read-routes.ts';
import { openProvenance } from '../../gateway/provenance/open-provenance.ts';
import { gatewaySettings, routesSettings, stageAddressSettings } from '../../gateway/settings.ts';
import { startGateway } from '../../gateway/start-gateway.ts';
import { readSettings } from '../../services/kit/settings.ts';
import { weightsWarnings } from '../../triton-models/packaging/weights-warnings.ts';
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
      const provenance = await openProvenance(settings, log);
      const dataFolder = await scope.open(() => openDataFolder(settings.dataFolder));
      const data = await scope.open((signal) => openGatewayData({ ...settings, dataFolder, log, signal }));
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
          provenance,
          log,
          serverTls: tls?.publicServer,
          stageTls: tls?.client,
          signal,
        }),
      );
    };
  },
};
