import type { Preset } from '../../services/pipeline/preset.ts';
import { stageSequence } from '../../services/pipeline/stage-sequence.ts';
import type { JobSettings } from '../../services/pipeline/video-options.ts';

/** The settings that determine a video's work. */
export type WorkSettings = Pick<JobSettings, 'width' | 'height' | 'frameRate'> & {
  keyframes: Pick<JobSettings['keyframes'], 'steps'>;
  interpolation: Pick<JobSettings['interpolation'], 'steps'>;
};

/**
 * Number of frames that each stage of a video processes, in pipeline order: a diffusion step processes every frame it
 * makes, the text encoder and the decoder each frame once.
 */
export function framesToProcess(settings: Omit<WorkSettings, 'width' | 'height'>, preset: Preset): number[] {
  return stageSequence(preset, settings.frameRate).map(({ stage, frames }) => {
    const steps = stage === 'keyframes' || stage === 'interpolation' ? settings[stage].steps : 1;
    return Math.max(1, steps * frames);
  });
}

/** Pixels that each stage of a video processes, in millions, in pipeline order. */
export function stageWork(settings: WorkSettings, preset: Preset): number[] {
  return framesToProcess(settings, preset).map((frames) => (frames * settings.width * settings.height) / 1e6);
}

/** A video's share of the mesh's work: pixels to process, in millions. */
export function videoWork(settings: WorkSettings, preset: Preset): number {
  return stageWork(settings, preset).reduce((sum, work) => sum + work, 0);
}
