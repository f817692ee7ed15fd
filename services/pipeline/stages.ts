import type { CompatServiceDefinition } from 'nice-grpc';
import { DecoderServiceDefinition } from '../../proto/gen/fusionframes/v1/decoder.ts';
import { InterpolationServiceDefinition } from '../../proto/gen/fusionframes/v1/interpolation.ts';
import { KeyframesServiceDefinition } from '../../proto/gen/fusionframes/v1/keyframes.ts';
import { TextEncoderServiceDefinition } from '../../proto/gen/fusionframes/v1/text_encoder.ts';
import { Stage as WireStage } from '../../proto/gen/fusionframes/v1/video.ts';

/** What everything else about a stage follows from. */
interface StageFacts {
  /** Its name in sentences. */
  label: string;
  definition: CompatServiceDefinition;
  /** How messages name it. */
  wire: WireStage;
  /** Name of its model in the inference server's repository. */
  model: string;
  /** Where it stands in a preset. */
  preset: string;
  /** Where it listens by default. */
  port: number;
}

/** The stages in the order of the pipeline, by the names that people type and telemetry carries. */
export const stages = {
  'text-encoder': {
    label: 'text encoder',
    definition: TextEncoderServiceDefinition,
    wire: WireStage.STAGE_TEXT_ENCODER,
    model: 'text_encoder',
    preset: 'textEncoder',
    port: 50051,
  },
  keyframes: {
    label: 'keyframes',
    definition: KeyframesServiceDefinition,
    wire: WireStage.STAGE_KEYFRAMES,
    model: 'keyframe_unet',
    preset: 'keyframes',
    port: 50052,
  },
  interpolation: {
    label: 'interpolation',
    definition: InterpolationServiceDefinition,
    wire: WireStage.STAGE_INTERPOLATION,
    model: 'interpolation_unet',
    preset: 'interpolation',
    port: 50053,
  },
  decoder: {
    label: 'decoder',
    definition: DecoderServiceDefinition,
    wire: WireStage.STAGE_DECODER,
    model: 'movq_decoder',
    preset: 'decoder',
    port: 50054,
  },
} as const satisfies Record<string, StageFacts>;

type StageTable = typeof stages;
export type StageName = keyof StageTable;
/** A stage's contract. */
export type StageDefinition<N extends StageName = StageName> = StageTable[N]['definition'];

export const stageNames = Object.keys(stages) as readonly StageName[] as readonly [StageName, ...StageName[]];

/** Something for each stage. */
export function forEachStage<T>(of: (name: StageName) => T): Record<StageName, T> {
  return Object.fromEntries(stageNames.map((name) => [name, of(name)])) as Record<StageName, T>;
}

/** The same for what takes its time; all at once. */
export async function awaitEachStage<T>(of: (name: StageName) => Promise<T>): Promise<Record<StageName, T>> {
  const values = await Promise.all(stageNames.map(of));
  return forEachStage((name) => values[stageNames.indexOf(name)]!);
}

/** The environment variable that holds the address of a stage. */
export function addressVariable(name: StageName): string {
  return `FUSIONFRAMES_${name.toUpperCase().replaceAll('-', '_')}_ADDRESS`;
}

/** The stage that messages name so; undefined for one of a newer gateway. */
export function stageOfWire(wire: WireStage): StageName | undefined {
  return stageNames.find((name) => stages[name].wire === wire);
}

/** The stage that a model of the repository is run for. */
export function stageOfModel(model: string): StageName | undefined {
  return stageNames.find((name) => stages[name].model === model);
}

type ModelNames = { readonly [N in StageName as StageTable[N]['preset']]: StageTable[N]['model'] };

/** Names of the models in a repository, by where their networks stand in a preset. */
export const modelNames = Object.fromEntries(
  Object.values(stages).map(({ preset, model }) => [preset, model]),
) as ModelNames;
