/** The objects of the HTTP face, as far as the page reads them. Lengths in seconds, times in Unix seconds. */

export type FrameRate = 'low' | 'medium' | 'high';
export type Stage = 'text-encoder' | 'keyframes' | 'interpolation' | 'decoder';
export type Variant = 'video' | 'thumbnail' | 'spritesheet' | 'storyboard' | 'preview';

export interface Sampling {
  steps: number;
  guidance_scale: number;
  sampler: string;
}

export interface StageProgress {
  stage: Stage;
  step: number;
  total: number;
  seconds: number;
  /** Nobody serves the stage at present. */
  waiting?: boolean;
}

export interface VideoFailure {
  /** Name of a gRPC status code in lower case; `cancelled` for a job that somebody cancelled. */
  code: string;
  message: string;
  stage?: Stage | null;
  attempt?: number | null;
}

export interface Video {
  id: string;
  model: string;
  status: 'queued' | 'in_progress' | 'completed' | 'failed';
  /** 0 to 100. */
  progress: number;
  created_at: number;
  prompt: string;
  negative_prompt: string;
  /** `WIDTHxHEIGHT`. */
  size: string;
  /** A decimal number as text. */
  seconds: string;
  /** A whole number below 2⁶⁴ as text: more than a JavaScript number holds. */
  seed: string;
  frame_rate: FrameRate;
  frames: number;
  keyframes: Sampling;
  interpolation: Sampling;
  format: 'mp4' | 'webp';
  attempt: number;
  /** The stages begun so far, in order; one entry for each interpolation pass. */
  stages: StageProgress[];
  files: { variant: Variant; media_type: string; bytes: number; sha256: string }[];
  warnings: string[];
  error: VideoFailure | null;
}

export interface VideoPage {
  data: Video[];
  has_more: boolean;
}

export interface Preset {
  id: string;
  description: string;
  size: { default: string; minimum: string; maximum: string; multiple_of: number };
  default_frame_rate: FrameRate;
  frame_rates: { name: FrameRate; frames: number; frames_per_second: number }[];
  keyframes: Sampling & { frames: number };
  interpolation: Sampling;
  samplers: string[];
  formats: string[];
  examples: string[];
}

/** What `POST /v1/videos` takes; absent fields mean the preset's defaults. */
export interface VideoRequest {
  prompt: string;
  negative_prompt?: string;
  frame_rate?: string;
  size?: string;
  seed?: string;
  steps?: number | string;
  guidance_scale?: number | string;
  sampler?: string;
  interpolation_steps?: number | string;
  interpolation_guidance_scale?: number | string;
  interpolation_sampler?: string;
  format?: string;
  /** Also decode an early preview and the storyboard as soon as they can be had. */
  previews: boolean;
}

/** Whether nothing will happen to the job any more. */
export function isFinished({ status }: Video): boolean {
  return status === 'completed' || status === 'failed';
}

export function isCancelled({ error }: Video): boolean {
  return error?.code === 'cancelled';
}

export function hasFile({ files }: Video, variant: Variant): boolean {
  return files.some((file) => file.variant === variant);
}

/** Width and height, pixels. */
export function dimensions({ size }: Pick<Video, 'size'>): [width: number, height: number] {
  const [width, height] = size.split('x').map(Number);
  return [width || 64, height || 64];
}
