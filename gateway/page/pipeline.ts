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
  /** Whether another video had the result already. */
  reused: boolean;
}

/** The name of a stage: its id in words. */
export function stageName(stage: Stage): string {
  const words = stage.replaceAll('-', ' ');
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}`;
}

/** What stages do, for people who see the page for the first time. */
const summaries: Partial<Record<Stage, (preset: Preset) => string>> = {
  'text-encoder': () => 'The prompt becomes numbers the networks can read.',
  keyframes: ({ keyframes }) => `${keyframes.frames} pictures are denoised together.`,
  interpolation: () => 'Frames are added between the keyframes.',
  decoder: () => 'Numbers become pictures, frame by frame.',
};

/** What a stage does; empty if there is nothing to say about it. */
export function stageSummary(stage: Stage, preset: Preset): string {
  return summaries[stage]?.(preset) ?? '';
}

/** What goes in and what comes out, where frame numbers alone do not say it. */
const details: Partial<Record<Stage, (frames: number) => string>> = {
  'text-encoder': () => 'prompt → context',
  keyframes: (frames) => `noise → ${frames} frames`,
  decoder: () => 'latents → pictures',
};

function stageDetail(stage: Stage, before: number, after: number): string {
  return details[stage]?.(after) ?? (before === after ? `${after} frames` : `${before} → ${after} frames`);
}

/**
 * The stages that a video goes through, in order. If the preset no longer offers its frame rate, only those that have
 * started are known.
 */
export function planOf(video: Video, preset: Preset): readonly PlannedStage[] {
  const { frame_rate, frames, stages, given_keyframes: given } = video;
  const offered = preset.frame_rates.find(({ name }) => name === frame_rate);
  const keyframes = keyframesOf(video, preset);
  if (!offered) {
    return stages.map(({ stage }) => ({ stage, frames: stage === 'decoder' ? frames : keyframes }));
  }
  if (given === null) {
    return offered.stages;
  }
  return offered.stages
    .filter(({ frames }) => frames > 0 || preset.given_keyframes?.reads_prompt)
    .map(({ stage, frames }) => ({ stage, frames: frames && framesBetween(frames, preset.keyframes.frames, given) }));
}

/** How many frames there are with `given` keyframes, where there are `frames` with as many as the model makes itself. */
export function framesBetween(frames: number, keyframes: number, given: number): number {
  return ((frames - 1) * (given - 1)) / (keyframes - 1) + 1;
}

/** How many keyframes a video has: those that it was given, or as many as the network makes. */
export function keyframesOf({ given_keyframes: given }: Video, { keyframes }: Preset): number {
  return given ?? keyframes.frames;
}

/** Numbers of frames that a video has along the way, from its keyframes to all of them. */
export function frameCounts(plan: readonly PlannedStage[], keyframes: number): [number, ...number[]] {
  const counts = new Set(plan.map(({ frames }) => frames).filter((frames) => frames > keyframes));
  return [keyframes, ...counts];
}

/** The stages of a job in order, including those that have not started. */
export function stageViews(video: Video, plan: readonly PlannedStage[]): StageView[] {
  return plan.map(({ stage, frames }, index) => {
    const begun = video.stages[index];
    const isLast = index === video.stages.length - 1;
    return {
      stage,
      detail: isEncoding(video, stage)
        ? `pictures → ${frames} frames`
        : stageDetail(stage, plan[index - 1]?.frames ?? 0, frames),
      name: stageName(stage),
      state: stageState(video, begun !== undefined, isLast),
      step: begun?.step ?? 0,
      total: begun?.total ?? 0,
      seconds: begun?.seconds ?? 0,
      reused: begun?.reused ?? false,
    };
  });
}

/** Keyframes that were given are only encoded. */
function isEncoding({ given_keyframes: given }: Video, stage: Stage): boolean {
  return stage === 'keyframes' && given !== null;
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
