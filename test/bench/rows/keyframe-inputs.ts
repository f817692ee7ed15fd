import { modelNames, type Preset } from '../../../services/pipeline/preset.ts';
import { elementCount, type Tensor } from '../../../services/pipeline/tensor.ts';
import { networkCalls } from '../../../triton-models/describe/network-calls.ts';

/** Random inputs of a keyframe network for one guided step of a video of the default size. */
export function keyframeInputs(preset: Preset): Record<string, Tensor> {
  const video = { ...preset.frameSize.default, frameRate: 'low' as const };
  const { feeds } = networkCalls(preset, video).find(({ model }) => model === modelNames.keyframes)!;
  const tensors = Object.entries(feeds).map(([name, { type, shape }]): [string, Tensor] => {
    const length = elementCount(shape);
    // Random, because zeros would be normalised to the slowest of numbers.
    const data = type === 'bool' ? new Uint8Array(length).fill(1) : Float32Array.from({ length }, () => Math.random());
    return [name, { dataType: type, shape, data } as Tensor];
  });
  return Object.fromEntries(tensors);
}
