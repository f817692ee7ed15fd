import { loraText, type MergedLora } from '../../services/pipeline/loras.ts';
import type { ModelLoad } from '../jobs/store/served-models.ts';
import { type ModelRoute, routeId } from '../models/model-route.ts';
import type { Models } from '../models/models.ts';
import type { ReadinessState } from './readiness.ts';

/** A model, or one version of it, as callers see it. */
export interface ModelInfo {
  /** Its name in requests. */
  id: string;
  description: string;
  /** The day on which it was published; absent if its preset does not say. */
  created: Date | undefined;
  /** Takes no new videos and finishes the ones it has. */
  isDraining: boolean;
  /** Whether every stage of some version responds. */
  isReady: boolean;
  /** Share of a version among the versions that take new videos, 0 to 1; 1 for a model's name. */
  share: number;
  /** What was merged into a version's weights. */
  lora: readonly MergedLora[];
  queued: number;
  running: number;
}

/**
 * Every model by its name, followed by its versions if it has any. The first is the default.
 *
 * @param loads by id of a version
 */
export function listModels(
  models: Models,
  { routes }: ReadinessState,
  loads: ReadonlyMap<string, ModelLoad>,
): ModelInfo[] {
  return models.ids.map((id) => {
    const own = models.routes.filter((route) => route.preset.name === id || routeId(route) === id);
    const { description, published } = own[0]!.preset;
    const isReady = routes.some(
      (state) => state.isReady && own.some((route) => routeId(route) === routeId(state.route)),
    );
    return {
      id,
      description,
      created: published === undefined ? undefined : new Date(published),
      isDraining: own.every(({ isDraining }) => isDraining),
      isReady,
      ...loadOf(own, loads),
      share: shareOf(own, versionsLike(own, models.versionsOf(own[0]!.preset.name))),
      lora: own.length === 1 ? (own[0]!.loras ?? []) : [],
    };
  });
}

/** The versions among which one is chosen by weight: those with the same LoRAs. */
function versionsLike(own: readonly ModelRoute[], versions: readonly ModelRoute[]): readonly ModelRoute[] {
  const lorasOf = ({ loras = [] }: ModelRoute) => loraText(loras);
  return own.length > 1 ? versions : versions.filter((route) => lorasOf(route) === lorasOf(own[0]!));
}

function shareOf(own: readonly ModelRoute[], versions: readonly ModelRoute[]): number {
  const weightOf = (routes: readonly ModelRoute[]) =>
    routes.reduce((sum, { weight, isDraining }) => sum + (isDraining ? 0 : weight), 0);
  const all = weightOf(versions);
  return all === 0 ? 0 : weightOf(own) / all;
}

function loadOf(own: readonly ModelRoute[], loads: ReadonlyMap<string, ModelLoad>): ModelLoad {
  const sum = (state: keyof ModelLoad) =>
    own.reduce((total, route) => total + (loads.get(routeId(route))?.[state] ?? 0), 0);
  return { queued: sum('queued'), running: sum('running') };
}
