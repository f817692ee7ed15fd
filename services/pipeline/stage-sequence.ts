import { type FrameRateName, framesAfterPass, interpolationPasses, type Preset } from './preset.ts';
import { type StageName, stageNames, stages } from './stages.ts';

/** A stage of a video, or one pass of it. */
export interface SequencedStage {
  stage: StageName;
  /** Number of frames after it; 0 after the text encoder. */
  frames: number;
}

/** The stages of a video, in order: one entry per stage, and one per interpolation pass. */
export function stageSequence({ keyframes }: Preset, frameRate: FrameRateName): SequencedStage[] {
  let frames = 0;
  return stageNames.flatMap((stage): SequencedStage[] => {
    switch (stages[stage].frames) {
      case 'keyframes':
        frames = keyframes.frames;
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
