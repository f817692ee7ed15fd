/** What the HTTP API answers, as far as the page reads it; `test/page/wire.test.ts` holds it to the API's own types. */

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
  /** No replica of the stage is available. */
  waiting: boolean;
}

export interface VideoFailure {
  /** Name of a gRPC status code in lower case; `cancelled` for a cancelled job. */
  code: string;
  message: string;
  stage: Stage | null;
  attempt: number;
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
  options: VideoOption[];
  samplers: string[];
  formats: string[];
  examples: string[];
}

/** One setting that a request may hold. */
export interface VideoOption {
  name: string;
  /** Path of the value in a video object, such as `keyframes.steps`; null if it has none. */
  response_field: string | null;
  /** JSON schema of its values. */
  schema: { [keyword: string]: unknown };
}

/** What `POST /v1/videos` takes: options by their names. Absent ones take the preset's defaults. */
export interface VideoRequest {
  [option: string]: string | number | boolean;
  prompt: string;
  /** Also decode an early preview and the storyboard as soon as possible. */
  previews: boolean;
}
