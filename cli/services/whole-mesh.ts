import { join } from 'node:path';
import { gatewaySettings, routesSettings } from '../../gateway/settings.ts';
import { inferenceSettings } from '../../services/inference/settings.ts';
import { invalidField } from '../../services/kit/errors.ts';
import { readSettings } from '../../services/kit/settings.ts';
import { stagesOf } from '../../services/pipeline/called-models.ts';
import { modelsFolder } from '../../services/pipeline/models-folder.ts';
import type { Preset } from '../../services/pipeline/preset.ts';
import { stages } from '../../services/pipeline/stages.ts';
import { ensureRepository } from '../../triton-models/packaging/ensure-repository.ts';
import type { NamedLora } from '../lora-flag.ts';
import { startMesh } from '../mesh.ts';
import { type MeshVersion, meshSettings, prepareMesh } from '../mesh-stages.ts';
import type { ServedService } from './served-service.ts';

/** Every service of the mesh, in one process. */
export const wholeMesh: ServedService = {
  settings: [...meshSettings, routesSettings],
  acceptsPresets: true,
  acceptsLoras: true,
  loads: (presets) =>
    `${presets.map(({ name }) => name).join(' and ')} (${Object.values(stages)
      .map(({ model }) => model)
      .join(', ')})`,
  prepare: (presets, _, loras) => {
    const { routesFile } = readSettings(routesSettings);
    if (routesFile !== '') {
      const allowed = 'empty here, because only `serve gateway` reads it; repeat --preset to serve several models';
      throw invalidField(routesSettings.routesFile.name, routesFile, allowed);
    }
    // All settings are read before anything starts.
    const mesh = prepareMesh(presets);
    readSettings(inferenceSettings);
    const { httpAddress } = readSettings(gatewaySettings);
    return ({ address, log, tls, scope }) => {
      const { signal } = scope;
      const find = (preset: Preset) => ensureRepository(preset, { encoder: 'where-weights-fit', signal });
      return scope.open((opening) =>
        startMesh({
          repositories: () => inTurn(presets, find),
          versions: () => inTurn(loras, (lora) => buildVersion(presets[0], lora, signal)),
          prepare: () => mesh,
          gatewayAddress: address,
          httpAddress,
          log,
          signal: opening,
          tls: tls?.publicServer,
        }),
      );
    };
  },
};

/** One after another: each build takes the memory and the disk for itself. */
async function inTurn<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (const item of items) {
    results.push(await work(item));
  }
  return results;
}

/** Builds the models that a LoRA changes, and the others of their stages. */
async function buildVersion(preset: Preset, lora: NamedLora, signal: AbortSignal): Promise<MeshVersion> {
  const { name, scale } = lora;
  const version = scale === 1 ? name : `${name}_${scale}`;
  const { folder, models } = await ensureRepository(preset, {
    folder: join(modelsFolder(), 'repository', `${preset.name}+${version}`),
    loras: [lora],
    onlyChanged: true,
    encoder: 'where-weights-fit',
    signal,
  });
  const changed = models.filter(({ isChanged }) => isChanged).map((model) => model.name);
  return { version, loras: [{ name, scale }], repository: folder, stages: stagesOf(changed) };
}
