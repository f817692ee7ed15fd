import { openDataFolder } from '../../gateway/data-folder.ts';
import { openGatewayData } from '../../gateway/gateway-data.ts';
import { singleRoute } from '../../gateway/models/model-route.ts';
import { openProvenance } from '../../gateway/provenance/open-provenance.ts';
import { gatewaySettings, stageAddressSettings } from '../../gateway/settings.ts';
import { startGateway } from '../../gateway/start-gateway.ts';
import { readSettings } from '../../services/kit/settings.ts';
import { weightsWarnings } from '../../triton-models/packaging/weights-warnings.ts';
import { signedWeights } from '../signed-weights.ts';
import type { ServedService } from './served-service.ts';

export const gateway: ServedService = {
  settings: [gatewaySettings, stageAddressSettings],
  prepare: () => {
    const settings = readSettings(gatewaySettings);
    const stageAddresses = readSettings(stageAddressSettings);
    return async ({ address, preset, log, tls, scope }) => {
      const provenance = await openProvenance(settings, log);
      const dataFolder = await scope.open(() => openDataFolder(settings.dataFolder));
      const data = await scope.open((signal) => openGatewayData({ ...settings, dataFolder, log, signal }));
      const warnings = await weightsWarnings(preset);
      const weights = await signedWeights(preset, settings, scope.signal);
      return scope.open((signal) =>
        startGateway({
          ...settings,
          address,
          routes: [singleRoute({ preset, stageAddresses, warnings, weights })],
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
