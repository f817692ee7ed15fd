import type { ParameterType } from '../checkpoints/weights.ts';

/** What an engine computes products in. Norms, sums and exponentials are float32 in each. */
export const enginePrecisions = ['float16', 'bfloat16', 'float32'] as const;
export type EnginePrecision = (typeof enginePrecisions)[number];

/** How parameters are stored in each. */
export const storedAs = {
  float16: 'F16',
  bfloat16: 'BF16',
  float32: 'F32',
} as const satisfies Record<EnginePrecision, ParameterType>;

export function isEnginePrecision(name: string): name is EnginePrecision {
  return (enginePrecisions as readonly string[]).includes(name);
}
