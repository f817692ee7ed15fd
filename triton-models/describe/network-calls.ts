import { type DecoderRequest, decoderRequests } from '../../services/pipeline/decoder-requests.ts';
import { latentChannels, latentScale } from '../../services/pipeline/latents.ts';
import {
  type FrameRateName,
  frameCount,
  interpolationPasses,
  modelNames,
  type Preset,
} from '../../services/pipeline/preset.ts';

/** One network call of a video: which model, what shapes go in, how often a video makes it. */
export interface NetworkCall {
  model: string;
  feeds: Record<string, { type: 'float32' | 'int64' | 'bool'; shape: number[] }>;
  times: number;
}

/** What decides how much work a video is. */
export interface VideoShape {
  /** Pixels. */
  width: number;
  height: number;
  frameRate: FrameRateName;
}

/**
 * The network calls that a video of the preset's default steps and guidance makes, without a negative prompt; with
 * guidance a step's call has two items. Where contexts are as long as their prompts, the prompt is the longest allowed.
 */
export function networkCalls(preset: Preset, video: VideoShape): NetworkCall[] {
  const latentSize = [video.height / latentScale, video.width / latentScale];
  return [
    textCall(preset),
    keyframesCall(preset, latentSize),
    ...interpolationCalls(preset, latentSize, interpolationPasses(video.frameRate)),
    ...decoderCalls(preset, latentSize, frameCount(preset, video.frameRate)),
  ];
}

function textCall({ textEncoder: { maxTokens } }: Preset): NetworkCall {
  return {
    model: modelNames.textEncoder,
    feeds: {
      input_ids: { type: 'int64', shape: [1, maxTokens] },
      attention_mask: { type: 'bool', shape: [1, maxTokens] },
    },
    times: 1,
  };
}

function keyframesCall({ keyframes, textEncoder }: Preset, latentSize: readonly number[]): NetworkCall {
  const items = itemsOfStep(keyframes);
  const tokens = textEncoder.contextTokens === 'trimmed' ? textEncoder.maxTokens : textEncoder.contextTokens;
  return {
    model: modelNames.keyframes,
    feeds: {
      latents: { type: 'float32', shape: [items, keyframes.frames, latentChannels, ...latentSize] },
      timestep: { type: 'float32', shape: [items, 1] },
      positions: { type: 'float32', shape: [items, keyframes.frames] },
      context: { type: 'float32', shape: [items, tokens, keyframes.network.context_dim as number] },
      context_mask: { type: 'bool', shape: [items, tokens] },
      unconditional: { type: 'bool', shape: [items, 1] },
    },
    times: keyframes.defaults.steps,
  };
}

function interpolationCalls(
  { keyframes, interpolation }: Preset,
  latentSize: readonly number[],
  passes: number,
): NetworkCall[] {
  const items = itemsOfStep(interpolation);
  return Array.from({ length: passes }, (_, pass) => ({
    model: modelNames.interpolation,
    feeds: {
      latents: {
        type: 'float32',
        shape: [items, (keyframes.frames - 1) * 4 ** pass, 5 * latentChannels, ...latentSize],
      },
      timestep: { type: 'float32', shape: [items, 1] },
      skip: { type: 'int64', shape: [items, 1] },
    },
    times: interpolation.defaults.steps,
  }));
}

function decoderCalls(preset: Preset, latentSize: readonly number[], frames: number): NetworkCall[] {
  const alike = new Map<string, DecoderRequest[]>();
  for (const request of decoderRequests(preset, frames)) {
    const key = request.leading.join();
    alike.set(key, [...(alike.get(key) ?? []), request]);
  }
  return [...alike.values()].map((requests) => ({
    model: modelNames.decoder,
    feeds: { latents: { type: 'float32', shape: [...requests[0]!.leading, latentChannels, ...latentSize] } },
    times: requests.length,
  }));
}

const itemsOfStep = ({ defaults }: Preset['keyframes'] | Preset['interpolation']) =>
  defaults.guidanceScale > 0 ? 2 : 1;
