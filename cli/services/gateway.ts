import { loadMedia } from '../../gateway/media/load-media.ts';
import { type ModelRoute, singleRoute } from '../../gateway/models/model-route.ts';
import type { Routes } from '../../gateway/models/models.ts';
import { type FileRoute, type FileRoutes, readRoutes } from '../../gateway/models/read-routes.ts';
import { RoutesFile } from '../../gateway/models/routes-file.ts';
import { gatewaySettings, routesSettings, stageAddressSettings } from '../../gateway/settings.ts';
import { startGateway } from '../../gateway/start-gateway.ts';
import { readSettings } from '../../services/kit/settings.ts';
import { servedByEngines } from '../../services/pipeline/frame-sizes.ts';
import { weightsWarnings } from '../../triton-models/packaging/weights-warnings.ts';
import { openGatewayParts } from '../gateway-parts.ts';
import { signedWeights } from '../signed-weights.ts';
import type { ServedService } from './served-service.ts';

const routesSetting = routesSettings.routesFile.name;

export const gateway: ServedService = {
  settings: [gatewaySettings, routesSettings, stageAddressSettings],
  prepare: ([usual]) => {
    const settings = readSettings(gatewaySettings);
    const { routesFile } = readSettings(routesSettings);
    const stageAddresses = readSettings(stageAddressSettings);
    const isFile = routesFile !== '';
    if (isFile) {
      // An invalid one ends the process before it opens anything.
      readRoutes(routesFile, routesSetting);
    }
    return async ({ address, log, tls, scope }) => {
      const parts = await openGatewayParts({ ...settings, address }, log, scope);
      const [data] = await Promise.all([parts.data, loadMedia()]);
      const completed = async (route: FileRoute): Promise<ModelRoute> => ({
        ...route,
        preset: settings.sizes === 'compiled' ? servedByEngines(route.preset) : route.preset,
        warnings: await weightsWarnings(route.preset),
        // LoRAs change the weights, so the hash of the preset's own would be wrong.
        weights: route.loras ? undefined : await signedWeights(route.preset, settings, scope.signal),
      });
      const complete = async ([first, ...others]: FileRoutes): Promise<Routes> => [
        await completed(first),
        ...(await Promise.all(others.map(completed))),
      ];
      const file = isFile ? await RoutesFile.open({ path: routesFile, setting: routesSetting, complete }) : undefined;
      const routes = file?.routes ?? (await complete([singleRoute({ preset: usual, stageAddresses })]));
      return scope.open((signal) =>
        startGateway({
          ...settings,
          address,
          routes,
          routeChanges: file,
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
