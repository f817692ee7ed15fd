import type { FrameRate, Stage, Video } from './wire.ts';

/** What a video of this frame rate goes through, and how far one has come. */
export interface StageView {
  stage: Stage;
  name: string;
  /** What goes in and what comes out. */
  detail: string;
  state: 'waiting' | 'running' | 'done' | 'stopped';
  step: number;
  total: number;
  seconds: number;
}

export const stageNames: Record<Stage, string> = {
  'text-encoder': 'Text',
  keyframes: 'Keyframes',
  interpolation: 'Interpolation',
  decoder: 'Decoding',
};

/** Passes of the interpolation network. */
export function interpolationPasses(frameRate: FrameRate): number {
  return { low: 0, medium: 1, high: 2 }[frameRate];
}

/** Frames after that many passes over the keyframes: T becomes 4·T − 3. */
export function framesAfter(keyframes: number, passes: number): number {
  return passes === 0 ? keyframes : 4 * framesAfter(keyframes, passes - 1) - 3;
}

/** The keyframes of a video: what {@link framesAfter} started from. */
export function keyframeCount({ frames, frame_rate }: Pick<Video, 'frames' | 'frame_rate'>): number {
  let count = frames;
  for (let pass = 0; pass < interpolationPasses(frame_rate); pass++) {
    count = (count + 3) / 4;
  }
  return count;
}

/** The stages of a job in order, those that have not begun included. */
export function stageViews(video: Video): StageView[] {
  const plan = stagePlan(video.frame_rate, keyframeCount(video));
  return plan.map(({ stage, detail }, index) => {
    const begun = video.stages[index];
    const isLast = index === video.stages.length - 1;
    return {
      stage,
      detail,
      name: stageNames[stage],
      state: stageState(video, begun !== undefined, isLast),
      step: begun?.step ?? 0,
      total: begun?.total ?? 0,
      seconds: begun?.seconds ?? 0,
    };
  });
}

function stagePlan(frameRate: FrameRate, keyframes: number): { stage: Stage; detail: string }[] {
  const passes = Array.from({ length: interpolationPasses(frameRate) }, (_, pass) => ({
    stage: 'interpolation' as const,
    detail: `${framesAfter(keyframes, pass)} → ${framesAfter(keyframes, pass + 1)} frames`,
  }));
  return [
    { stage: 'text-encoder', detail: 'prompt → context' },
    { stage: 'keyframes', detail: `noise → ${keyframes} frames` },
    ...passes,
    { stage: 'decoder', detail: 'latents → pictures' },
  ];
}

function stageState({ status }: Video, hasBegun: boolean, isLast: boolean): StageView['state'] {
  if (!hasBegun) {
    return status === 'completed' ? 'done' : 'waiting';
  }
  if (status === 'completed' || !isLast) {
    return 'done';
  }
  return status === 'failed' ? 'stopped' : 'running';
}
