import type { PlannedStage, Preset, Stage, Video } from './wire.ts';

/** A stage of a video and how far it has come. */
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

/** What each stage does, for people who see the page for the first time. */
export const stageSummaries: Record<Stage, (preset: Preset) => string> = {
  'text-encoder': () => 'The prompt becomes numbers the networks can read.',
  keyframes: ({ keyframes }) => `${keyframes.frames} pictures are denoised together.`,
  interpolation: () => 'Frames are added between the keyframes.',
  decoder: () => 'Numbers become pictures, frame by frame.',
};

const details: Record<Stage, (before: number, after: number) => string> = {
  'text-encoder': () => 'prompt → context',
  keyframes: (_, after) => `noise → ${after} frames`,
  interpolation: (before, after) => `${before} → ${after} frames`,
  decoder: () => 'latents → pictures',
};

/**
 * The stages that a video goes through, in order. If the preset no longer offers its frame rate, only those that have
 * started are known.
 */
export function planOf({ frame_rate, frames, stages }: Video, preset: Preset): readonly PlannedStage[] {
  const offered = preset.frame_rates.find(({ name }) => name === frame_rate);
  return (
    offered?.stages ??
    stages.map(({ stage }) => ({ stage, frames: stage === 'decoder' ? frames : preset.keyframes.frames }))
  );
}

/** Numbers of frames that a video has along the way, from its keyframes to all of them. */
export function frameCounts(plan: readonly PlannedStage[], { keyframes }: Preset): [number, ...number[]] {
  const counts = new Set(plan.map(({ frames }) => frames).filter((frames) => frames > keyframes.frames));
  return [keyframes.frames, ...counts];
}

/** The stages of a job in order, including those that have not started. */
export function stageViews(video: Video, plan: readonly PlannedStage[]): StageView[] {
  return plan.map(({ stage, frames }, index) => {
    const begun = video.stages[index];
    const isLast = index === video.stages.length - 1;
    return {
      stage,
      detail: details[stage](plan[index - 1]?.frames ?? 0, frames),
      name: stageNames[stage],
      state: stageState(video, begun !== undefined, isLast),
      step: begun?.step ?? 0,
      total: begun?.total ?? 0,
      seconds: begun?.seconds ?? 0,
    };
  });
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
