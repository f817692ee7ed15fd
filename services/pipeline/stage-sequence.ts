import { type FrameRateName, framesAfterPass, interpolationPasses, type Preset } from './preset.ts';
import type { StageName } from './stages.ts';

/** A stage of a video, or one pass of it. */
export interface SequencedStage {
  stage: StageName;
  /** Number of frames after it; 0 after the text encoder. */
  frames: number;
}

/** The stages of a video, in order: one entry per stage, and one per interpolation pass. */
export function stageSequence({ keyframes }: Preset, frameRate: FrameRateName): SequencedStage[] {
  let { frames } = keyframes;
  const passes = Array.from({ length: interpolationPasses(frameRate) }, (): SequencedStage => {
    frames = framesAfterPass(frames);
    return { stage: 'interpolation', frames };
  });
  return [
    { stage: 'text-encoder', frames: 0 },
    { stage: 'keyframes', frames: keyframes.frames },
    ...passes,
    { stage: 'decoder', frames },
  ];
}
