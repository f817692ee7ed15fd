import { routesSettings } from '../../gateway/settings.ts';
import { invalidField } from '../../services/kit/errors.ts';
import { readSettings } from '../../services/kit/settings.ts';
import { stages } from '../../services/pipeline/stages.ts';
import { ensureRepository } from '../../triton-models/packaging/ensure-repository.ts';
import { type MeshRepository, meshSettings, prepareMesh, startMesh } from '../mesh.ts';
import type { ServedService } from './served-service.ts';

/** Every service of the mesh, in one process. */
export const wholeMesh: ServedService = {
  settings: [...meshSettings, routesSettings],
  acceptsPresets: true,
  loads: (presets) =>
    `${presets.map(({ name }) => name).join(' and ')} (${Object.values(stages)
      .map(({ model }) => model)
      .join(', ')})`,
  prepare: (presets) => {
    const { routesFile } = readSettings(routesSettings);
    if (routesFile !== '') {
      const allowed = 'empty here, because only `serve gateway` reads it; repeat --preset to serve several models';
      throw invalidField(routesSettings.routesFile.name, routesFile, allowed);
    }
    const mesh = prepareMesh(presets);
    return async ({ address, log, tls, scope }) => {
      const repositories: MeshRepository[] = [];
      for (const preset of presets) {
        repositories.push(await ensureRepository(preset, { signal: scope.signal }));
      }
      return scope.open((signal) =>
        startMesh(mesh, {
          repositories,
          gatewayAddress: address,
          httpAddress: mesh.gatewaySettings.httpAddress,
          log,
          signal,
          tls: tls?.publicServer,
        }),
      );
    };
  },
};
