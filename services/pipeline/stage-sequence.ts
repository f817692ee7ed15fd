import { isInterpolationUNet11 } from './networks/unet-1.1.ts';
import { type FrameRateName, framesAfterPass, interpolationPasses, type Preset } from './preset.ts';
import { type StageName, stageNames, stages } from './stages.ts';

/** A stage of a video, or one pass of it. */
export interface SequencedStage {
  stage: StageName;
  /** Number of frames after it; 0 after the text encoder. */
  frames: number;
}

/**
 * The stages of a video, in order: one entry per stage, and one per interpolation pass.
 *
 * @param givenKeyframes how many keyframes the caller gave; default: none, the network makes them
 */
export function stageSequence(preset: Preset, frameRate: FrameRateName, givenKeyframes?: number): SequencedStage[] {
  let frames = 0;
  return stageNames.flatMap((stage): SequencedStage[] => {
    switch (stages[stage].frames) {
      case 'none':
        return givenKeyframes === undefined || interpolationReadsPrompt(preset) ? [{ stage, frames }] : [];
      case 'keyframes':
        frames = givenKeyframes ?? preset.keyframes.frames;
        return [{ stage, frames }];
      case 'passes':
        return Array.from({ length: interpolationPasses(frameRate) }, () => {
          frames = framesAfterPass(frames);
          return { stage, frames };
        });
      default:
        return [{ stage, frames }];
    }
  });
}

/** Whether the interpolation depends on the prompt, as that of Kandinsky Video 1.1 does. */
export function interpolationReadsPrompt({ interpolation }: Preset): boolean {
  return isInterpolationUNet11(interpolation.network);
}
