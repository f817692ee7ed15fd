import { invalidField } from '../../services/kit/errors.ts';
import type { MergedLora } from '../../services/pipeline/loras.ts';
import type { Preset } from '../../services/pipeline/preset.ts';
import type { StageAddresses } from '../stages/connect-stages.ts';

/** One version of a model and the stages that make its videos. */
export interface ModelRoute {
  preset: Preset;
  /** Empty: the model has no versions. */
  version: string;
  stageAddresses: StageAddresses;
  /** What was merged into its weights, in the order of names; absent: nothing. */
  loras?: readonly MergedLora[] | undefined;
  /** Its share of the new videos that name no version, relative to the model's other versions with the same LoRAs; 0: none of them. */
  weight: number;
  /** Whether it finishes its videos but takes no new ones. */
  isDraining: boolean;
  /** Warnings attached to its videos. */
  warnings: readonly string[];
  /** Hash of its weights for signed videos; absent where it is not known. */
  weights?: string | undefined;
}

/** The model and version of a job, as it is stored. */
export interface JobModel {
  /** Name of the preset; empty for jobs from releases that had only one. */
  readonly model: string;
  /** Empty: the model has no versions. */
  readonly version: string;
}

/** The only route of a gateway that serves one preset. */
export function singleRoute<R extends Pick<ModelRoute, 'preset' | 'stageAddresses'>>(route: R) {
  return { ...route, version: '', weight: 1, isDraining: false };
}

/** Version `3` of `nano` is `nano@3`. */
export function modelId({ model, version }: JobModel): string {
  return version === '' ? model : `${model}@${version}`;
}

/** The inverse of {@link modelId}. Throws INVALID_ARGUMENT for a text that is not of this form. */
export function parseModelId(id: string): JobModel {
  if (!/^[^@\0]+(@[^@\0]+)?$/.test(id)) {
    throw invalidField('model', id, 'the name of a model, with a version or without, such as nano or nano@1');
  }
  const [model = '', version = ''] = id.split('@', 2);
  return { model, version };
}

export function routeId({ preset, version }: Pick<ModelRoute, 'preset' | 'version'>): string {
  return modelId({ model: preset.name, version });
}
