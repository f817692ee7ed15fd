import { forEachStage, type StageName } from '../../services/pipeline/stages.ts';
import type { ServedService } from './served-service.ts';

export type ServiceName = StageName | 'gateway' | 'inference';

/** Services by command line name, each imported only when it is served. */
const loaders: Readonly<Record<ServiceName, () => Promise<ServedService>>> = {
  gateway: async () => (await import('./gateway.ts')).gateway,
  ...forEachStage((name) => async () => (await import('./served-stage.ts')).servedStage(name)),
  inference: async () => (await import('./inference.ts')).inference,
};

export const serviceNames = Object.keys(loaders) as ServiceName[];

/** Loads the service of this name, or the whole mesh if none is named. */
export async function loadService(name: ServiceName | undefined): Promise<ServedService> {
  return name === undefined ? (await import('./whole-mesh.ts')).wholeMesh : loaders[name]();
}
