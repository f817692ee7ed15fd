import type { CompatServiceDefinition } from 'nice-grpc';
import { DecoderServiceDefinition } from '../../proto/gen/fusionframes/v1/decoder.ts';
import { InterpolationServiceDefinition } from '../../proto/gen/fusionframes/v1/interpolation.ts';
import { KeyframesServiceDefinition } from '../../proto/gen/fusionframes/v1/keyframes.ts';
import { TextEncoderServiceDefinition } from '../../proto/gen/fusionframes/v1/text_encoder.ts';
import { Stage as WireStage } from '../../proto/gen/fusionframes/v1/video.ts';

/** The definition of a stage, from which everything else about it derives. */
interface StageFacts {
  /** Its name in sentences. */
  label: string;
  definition: CompatServiceDefinition;
  /** Its number in messages. */
  wire: WireStage;
  /** Name of its model in the inference server's repository. */
  model: string;
  /** Its key in presets. */
  preset: string;
  /**
   * What it does to a video's frames: there are none yet; it makes the keyframes; it runs once per interpolation pass and adds
   * frames each time; it keeps their number.
   */
  frames: 'none' | 'keyframes' | 'passes' | 'kept';
  /** Its default port. */
  port: number;
}

/** The stages in pipeline order, by the names used in telemetry and typed by users. */
export const stages = {
  'text-encoder': {
    label: 'text encoder',
    definition: TextEncoderServiceDefinition,
    wire: WireStage.STAGE_TEXT_ENCODER,
    model: 'text_encoder',
    preset: 'textEncoder',
    frames: 'none',
    port: 50051,
  },
  keyframes: {
    label: 'keyframes',
    definition: KeyframesServiceDefinition,
    wire: WireStage.STAGE_KEYFRAMES,
    model: 'keyframe_unet',
    preset: 'keyframes',
    frames: 'keyframes',
    port: 50052,
  },
  interpolation: {
    label: 'interpolation',
    definition: InterpolationServiceDefinition,
    wire: WireStage.STAGE_INTERPOLATION,
    model: 'interpolation_unet',
    preset: 'interpolation',
    frames: 'passes',
    port: 50053,
  },
  decoder: {
    label: 'decoder',
    definition: DecoderServiceDefinition,
    wire: WireStage.STAGE_DECODER,
    model: 'movq_decoder',
    preset: 'decoder',
    frames: 'kept',
    port: 50054,
  },
} as const satisfies Record<string, StageFacts>;

type StageTable = typeof stages;
export type StageName = keyof StageTable;
/** A stage's contract. */
export type StageDefinition<N extends StageName = StageName> = StageTable[N]['definition'];

export const stageNames = Object.keys(stages) as readonly StageName[] as readonly [StageName, ...StageName[]];

/** Maps every stage to a value. */
export function forEachStage<T>(of: (name: StageName) => T): Record<StageName, T> {
  return Object.fromEntries(stageNames.map((name) => [name, of(name)])) as Record<StageName, T>;
}

/** Maps every stage to a value asynchronously, all at once. */
export async function awaitEachStage<T>(of: (name: StageName) => Promise<T>): Promise<Record<StageName, T>> {
  const values = await Promise.all(stageNames.map(of));
  return forEachStage((name) => values[stageNames.indexOf(name)]!);
}

/** The environment variable with a stage's address. */
export function addressVariable(name: StageName): string {
  return `FUSIONFRAMES_${name.toUpperCase().replaceAll('-', '_')}_ADDRESS`;
}

/** The stage with this number in messages; undefined if only newer gateways know it. */
export function stageOfWire(wire: WireStage): StageName | undefined {
  return stageNames.find((name) => stages[name].wire === wire);
}

/** Names of the models that a stage runs, with those that only some presets have. */
export function modelsOfStage(name: StageName): readonly string[] {
  return [stages[name].model, ...(name === 'keyframes' ? Object.values(firstFrameModelNames) : [])];
}

/** Further models of the keyframes stage, which presets with a first frame have. */
export const firstFrameModelNames = {
  firstFrame: 'first_frame_unet',
  pictureDecoder: 'picture_decoder',
  pictureEncoder: 'picture_encoder',
} as const;

type ModelNames = { readonly [N in StageName as StageTable[N]['preset']]: StageTable[N]['model'] };

/** Names of the models in a repository, by their networks' keys in a preset. */
export const modelNames = Object.fromEntries(
  Object.values(stages).map(({ preset, model }) => [preset, model]),
) as ModelNames;
