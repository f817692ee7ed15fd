import { frameCount, type Preset } from '../../services/pipeline/preset.ts';
import { type SequencedStage, stageSequence } from '../../services/pipeline/stage-sequence.ts';
import { promptsOfThings } from '../../services/pipeline/things.ts';
import type { JobSettings } from '../../services/pipeline/video-options.ts';

/** The settings that determine a video's stages. */
export type LengthSettings = Pick<JobSettings, 'frameRate' | 'givenKeyframes'>;

/** What determines a video's work. */
export type WorkSettings = LengthSettings &
  Pick<JobSettings, 'width' | 'height'> & {
    keyframes: Pick<JobSettings['keyframes'], 'steps'>;
    interpolation: Pick<JobSettings['interpolation'], 'steps'>;
    /** See `Job.keptStages`. Default: 0. */
    keptStages?: number;
    /** Of a video whose things may be sampled one by one. */
    prompt?: string;
  };

/** What determines the work of a job. */
export function workSettings({ settings, keptStages }: { settings: JobSettings; keptStages: number }): WorkSettings {
  return { ...settings, keptStages };
}

/** The stages of a video with these settings, see {@link stageSequence}. */
export function stagesOf({ frameRate, givenKeyframes }: LengthSettings, preset: Preset): SequencedStage[] {
  return stageSequence(preset, frameRate, givenKeyframes);
}

/** Number of frames of a video with these settings. */
export function framesOf({ frameRate, givenKeyframes }: LengthSettings, preset: Preset): number {
  return frameCount(preset, frameRate, givenKeyframes);
}

/**
 * Number of frames that each stage of a video processes, in pipeline order: a diffusion step processes every frame it
 * makes, or every keyframe of each thing that is sampled alone; the text encoder, the decoder and the encoder of given
 * keyframes process each frame once.
 */
export function framesToProcess(settings: Omit<WorkSettings, 'width' | 'height'>, preset: Preset): number[] {
  const things = promptsOfThings(settings.prompt ?? '', preset);
  return stagesOf(settings, preset).map(({ stage, frames }) => {
    const isGiven = stage === 'keyframes' && settings.givenKeyframes !== undefined;
    const steps = !isGiven && (stage === 'keyframes' || stage === 'interpolation') ? settings[stage].steps : 1;
    const times = stage === 'keyframes' && !isGiven ? Math.max(1, things.length) : 1;
    return Math.max(1, times * steps * frames);
  });
}

/** Pixels that each stage of a video processes, in millions, in pipeline order. */
export function stageWork(settings: WorkSettings, preset: Preset): number[] {
  return framesToProcess(settings, preset).map((frames) => (frames * settings.width * settings.height) / 1e6);
}

/** Whether a stage, by its place in pipeline order, will have the result of another video instead of running. */
export function isKept({ keptStages = 0 }: Pick<WorkSettings, 'keptStages'>, index: number): boolean {
  // The first one is the text encoder, whose results are not kept.
  return index >= 1 && index <= keptStages;
}

/** A video's share of the mesh's work: pixels to process, in millions, in the stages that will run. */
export function videoWork(settings: WorkSettings, preset: Preset): number {
  return stageWork(settings, preset).reduce((sum, work, index) => sum + (isKept(settings, index) ? 0 : work), 0);
}
