import { normalNoise } from '../../services/diffusion/noise.ts';
import type { Preset } from '../../services/pipeline/preset.ts';
import { elementCount, type Tensor, tensor } from '../../services/pipeline/tensor.ts';
import type { Endpoint } from '../graphs/graph.ts';

/** Words of the text that the inputs stand for, its end included; the other tokens are masked. */
const words = 12;

/** In the middle of the schedule, where the latents are half noise. */
const timestep = 500;

/** Noise level of the frames that others are interpolated between. */
const perturbation = 25;

const seed = 16n;

/**
 * One item of seeded inputs like those of a video: noise as latents and context, a short text, a timestep in the middle.
 *
 * @param shapes by input, batch axis first
 */
export function referenceInputs(
  preset: Preset,
  inputs: readonly Endpoint[],
  shapes: Readonly<Record<string, readonly number[]>>,
): Record<string, Tensor> {
  const entries = inputs.map((input, index) => {
    const shape = [1, ...shapes[input.name]!.slice(1)];
    return [input.name, valuesOf(preset, input, shape, index)] as const;
  });
  return Object.fromEntries(entries);
}

function valuesOf(preset: Preset, { name, dataType }: Endpoint, shape: number[], index: number): Tensor {
  const count = elementCount(shape);
  if (dataType === 'bool') {
    return tensor(
      'bool',
      shape,
      Uint8Array.from({ length: count }, (_, i) => booleanOf(name, i)),
    );
  }
  if (dataType === 'int64') {
    return tensor(
      'int64',
      shape,
      BigInt64Array.from({ length: count }, (_, i) => BigInt(integerOf(preset, name, i))),
    );
  }
  switch (name) {
    case 'timestep':
      return tensor('float32', shape, new Float32Array(count).fill(timestep));
    case 'perturbation':
      return tensor('float32', shape, new Float32Array(count).fill(perturbation));
    case 'positions':
      return tensor(
        'float32',
        shape,
        Float32Array.from({ length: count }, (_, i) => i * preset.keyframes.positionStride),
      );
    default:
      return tensor('float32', shape, normalNoise({ seed, purpose: 0, draw: index }, 0, count));
  }
}

const booleanOf = (name: string, at: number) => Number(name !== 'unconditional' && at < words);

function integerOf({ interpolation, textEncoder }: Preset, name: string, at: number): number {
  if (name === 'skip') {
    return interpolation.skips[0]!;
  }
  const { network, endTokenId, padTokenId } = textEncoder;
  if (at >= words - 1) {
    return at === words - 1 ? endTokenId : padTokenId;
  }
  return 2 + ((7919 * (at + 1)) % (network.vocab_size - 2));
}
