import { latentChannels, latentScale } from '../../services/kit/latents.ts';
import { frameCount, modelNames, type Preset } from '../../services/kit/preset.ts';

/** One network call of a video: which model, what shapes go in, how often a video makes it. */
export interface NetworkCall {
  model: string;
  feeds: Record<string, { type: 'float32' | 'int64' | 'bool'; shape: number[] }>;
  times: number;
}

/** The network calls that a default video of 57 frames makes; with guidance a step's call has two items. */
export function networkCalls(preset: Preset): NetworkCall[] {
  const { keyframes, interpolation, decoder, textEncoder } = preset;
  const height = preset.frameSize.default.height / latentScale;
  const width = preset.frameSize.default.width / latentScale;
  const contextSize = keyframes.network.context_dim as number;
  const tokens = textEncoder.contextTokens === 'trimmed' ? 12 : textEncoder.contextTokens;
  const frames = frameCount(preset, 'medium');
  const [whole, rest] = [Math.floor(frames / decoder.framesPerRequest), frames % decoder.framesPerRequest];
  const items = ({ defaults }: Preset['keyframes'] | Preset['interpolation']) => (defaults.guidanceScale > 0 ? 2 : 1);
  const [keyframeItems, groupItems] = [items(keyframes), items(interpolation)];
  const decode = (count: number, times: number): NetworkCall => ({
    model: modelNames.decoder,
    feeds: { latents: { type: 'float32', shape: [count, latentChannels, height, width] } },
    times,
  });
  return [
    {
      model: modelNames.textEncoder,
      feeds: {
        input_ids: { type: 'int64', shape: [1, textEncoder.maxTokens] },
        attention_mask: { type: 'bool', shape: [1, textEncoder.maxTokens] },
      },
      times: 1,
    },
    {
      model: modelNames.keyframes,
      feeds: {
        latents: { type: 'float32', shape: [keyframeItems, keyframes.frames, latentChannels, height, width] },
        timestep: { type: 'float32', shape: [keyframeItems, 1] },
        positions: { type: 'float32', shape: [keyframeItems, keyframes.frames] },
        context: { type: 'float32', shape: [keyframeItems, tokens, contextSize] },
        context_mask: { type: 'bool', shape: [keyframeItems, tokens] },
        unconditional: { type: 'bool', shape: [keyframeItems, 1] },
      },
      times: keyframes.defaults.steps,
    },
    {
      model: modelNames.interpolation,
      feeds: {
        latents: { type: 'float32', shape: [groupItems, keyframes.frames - 1, 5 * latentChannels, height, width] },
        timestep: { type: 'float32', shape: [groupItems, 1] },
        skip: { type: 'int64', shape: [groupItems, 1] },
      },
      times: interpolation.defaults.steps,
    },
    decode(decoder.framesPerRequest, whole),
    ...(rest > 0 ? [decode(rest, 1)] : []),
  ];
}
