import { stages } from '../../services/pipeline/stages.ts';
import { ensureRepository } from '../../triton-models/packaging/ensure-repository.ts';
import { meshSettings, prepareMesh, startMesh } from '../mesh.ts';
import type { ServedService } from './served-service.ts';

/** Every service of the mesh, in one process. */
export const wholeMesh: ServedService = {
  settings: meshSettings,
  loads: ({ name }) =>
    `${name} (${Object.values(stages)
      .map(({ model }) => model)
      .join(', ')})`,
  prepare: (preset) => {
    const mesh = prepareMesh(preset);
    return async ({ address, log, tls, scope }) => {
      const repository = await ensureRepository(preset, { signal: scope.signal });
      return scope.open((signal) =>
        startMesh(mesh, {
          repository: repository.folder,
          gatewayAddress: address,
          httpAddress: mesh.gatewaySettings.httpAddress,
          warnings: repository.warnings,
          log,
          signal,
          tls: tls?.publicServer,
        }),
      );
    };
  },
};
