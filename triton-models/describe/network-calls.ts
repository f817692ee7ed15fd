import { type DecoderRequest, decoderRequests } from '../../services/pipeline/decoder-requests.ts';
import { keyframeEncoder } from '../../services/pipeline/keyframe-encoder.ts';
import { firstFrameScale, latentScale } from '../../services/pipeline/latents.ts';
import type { NetworkInterface } from '../../services/pipeline/networks/network-interface.ts';
import { firstFrameInterfaces, networkInterfaces } from '../../services/pipeline/networks/preset-networks.ts';
import { maxSequences, seesMaskedFrames } from '../../services/pipeline/networks/unet.ts';
import {
  conditionedOn,
  type FrameRateName,
  type FrameSize,
  firstFrameModelNames,
  frameCount,
  modelNames,
  type Preset,
} from '../../services/pipeline/preset.ts';
import { stageSequence } from '../../services/pipeline/stage-sequence.ts';
import type { DataType } from '../../services/pipeline/tensor.ts';

/** A network call of a video: the model, its input shapes and how often it is called. */
export interface NetworkCall {
  model: string;
  feeds: Record<string, { type: DataType; shape: number[] }>;
  times: number;
}

/** The settings that determine how much work a video is. */
export interface VideoShape {
  /** Pixels. */
  width: number;
  height: number;
  frameRate: FrameRateName;
}

/**
 * The network calls of a video with the preset's default steps and guidance and without a negative prompt; with
 * guidance a step's call has two items. If contexts are trimmed to their prompts, the longest prompt is assumed.
 */
export function networkCalls(preset: Preset, video: VideoShape): NetworkCall[] {
  const [height, width] = [video.height / latentScale, video.width / latentScale];
  return [
    textCall(preset),
    ...firstFrameCalls(preset, height, width),
    keyframesCall(preset, height, width),
    ...interpolationCalls(preset, height, width, video.frameRate),
    ...decoderCalls(preset, height, width, frameCount(preset, video.frameRate)),
  ];
}

/** The call that encodes a given keyframe. Videos made from prompts have none. */
export function encoderCall(preset: Preset, { width, height }: FrameSize): NetworkCall {
  const { name, interface: tensors } = keyframeEncoder(preset);
  return { model: name, feeds: feedsOf(tensors.inputs, { images: 1, width, height }), times: 1 };
}

function textCall(preset: Preset): NetworkCall {
  const { inputs } = networkInterfaces.textEncoder(preset);
  const sizes = { texts: 1, tokens: preset.textEncoder.maxTokens };
  return { model: modelNames.textEncoder, feeds: feedsOf(inputs, sizes), times: 1 };
}

function keyframesCall(preset: Preset, height: number, width: number): NetworkCall {
  const { keyframes } = preset;
  const { inputs } = networkInterfaces.keyframes(preset);
  // With a first frame, guidance leaves out the text, then the picture too.
  const videos = itemsOfStep(keyframes) + (conditionedOn(preset) && keyframes.defaults.guidanceScale > 0 ? 1 : 0);
  const sizes = { videos, frames: keyframes.frames, tokens: contextTokens(preset), height, width };
  return { model: modelNames.keyframes, feeds: feedsOf(inputs, sizes), times: keyframes.defaults.steps };
}

/**
 * The calls for the first frame of a video from a prompt alone: where the keyframe network reads one, it is made at twice the
 * size and encoded. Elsewhere the encoder is called only if a picture is given.
 */
function firstFrameCalls(preset: Preset, height: number, width: number): NetworkCall[] {
  if (preset.firstFrame === undefined) {
    return [];
  }
  const encode = encoderCall(preset, { height: latentScale * height, width: latentScale * width });
  const { keyframes } = preset;
  const interfaces = firstFrameInterfaces(preset);
  if (interfaces === undefined) {
    return [{ ...encode, times: 0 }];
  }
  const [tall, wide] = [firstFrameScale * height, firstFrameScale * width];
  const sizes = { pictures: itemsOfStep(keyframes), tokens: contextTokens(preset), height: tall, width: wide };
  const decoded = { frames: 1, latent_height: tall, latent_width: wide };
  const { firstFrame, pictureDecoder } = firstFrameModelNames;
  return [
    {
      model: firstFrame,
      feeds: feedsOf(interfaces.firstFrame.inputs, sizes),
      times: keyframes.defaults.steps,
    },
    { model: pictureDecoder, feeds: feedsOf(interfaces.pictureDecoder.inputs, decoded), times: 1 },
    encode,
  ];
}

function contextTokens({ textEncoder }: Preset): number {
  return textEncoder.contextTokens === 'trimmed' ? textEncoder.maxTokens : textEncoder.contextTokens;
}

function interpolationCalls(preset: Preset, height: number, width: number, frameRate: FrameRateName): NetworkCall[] {
  const { interpolation } = preset;
  const { inputs } = networkInterfaces.interpolation(preset);
  const sequence = stageSequence(preset, frameRate);
  return sequence.flatMap(({ stage }, index) => {
    if (stage !== 'interpolation') {
      return [];
    }
    const groups = sequence[index - 1]!.frames - 1;
    const { steps } = interpolation.defaults;
    const tokens = contextTokens(preset);
    const items = itemsOfStep(interpolation);
    const call = (sizes: Record<string, number>, times: number): NetworkCall[] =>
      times === 0
        ? []
        : [{ model: modelNames.interpolation, feeds: feedsOf(inputs, { ...sizes, tokens, height, width }), times }];
    if (!seesMaskedFrames(interpolation.network)) {
      return call({ videos: items, groups }, steps);
    }
    const [whole, rest] = [Math.floor((items * groups) / maxSequences), (items * groups) % maxSequences];
    return [...call({ sequences: maxSequences }, steps * whole), ...call({ sequences: rest }, rest === 0 ? 0 : steps)];
  });
}

function decoderCalls(preset: Preset, height: number, width: number, frames: number): NetworkCall[] {
  const { inputs } = networkInterfaces.decoder(preset);
  const alike = new Map<string, DecoderRequest[]>();
  for (const request of decoderRequests(preset, frames)) {
    const key = request.leading.join();
    alike.set(key, [...(alike.get(key) ?? []), request]);
  }
  return [...alike.values()].map((requests) => {
    const [first = 1, second = 1] = requests[0]!.leading;
    const counts: Record<string, number> =
      preset.decoder.kind === 'image' ? { frames: first } : { windows: first, frames: second };
    const sizes = { ...counts, latent_height: height, latent_width: width };
    return { model: modelNames.decoder, feeds: feedsOf(inputs, sizes), times: requests.length };
  });
}

/** The inputs of a call with these variable sizes. */
function feedsOf(inputs: NetworkInterface['inputs'], sizes: Readonly<Record<string, number>>): NetworkCall['feeds'] {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { dataType, shape }]) => {
      return [name, { type: dataType, shape: shape.map((size) => (typeof size === 'number' ? size : sizes[size]!)) }];
    }),
  );
}

const itemsOfStep = ({ defaults }: Preset['keyframes'] | Preset['interpolation']) =>
  defaults.guidanceScale > 0 ? 2 : 1;
