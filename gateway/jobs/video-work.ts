import type { Preset } from '../../services/pipeline/preset.ts';
import { stageSequence } from '../../services/pipeline/stage-sequence.ts';
import type { JobSettings } from '../../services/pipeline/video-options.ts';

/**
 * Number of frames that each stage of a video processes, in pipeline order: a diffusion step processes every frame it
 * makes, the text encoder and the decoder each frame once.
 */
export function framesToProcess(settings: JobSettings, preset: Preset): number[] {
  return stageSequence(preset, settings.frameRate).map(({ stage, frames }) => {
    const steps = stage === 'keyframes' || stage === 'interpolation' ? settings[stage].steps : 1;
    return Math.max(1, steps * frames);
  });
}

/** A video's share of the mesh's work: pixels to process, in millions. */
export function videoWork(settings: JobSettings, preset: Preset): number {
  const frames = framesToProcess(settings, preset).reduce((sum, count) => sum + count, 0);
  return (frames * settings.width * settings.height) / 1e6;
}
