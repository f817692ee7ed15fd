import { z } from 'zod';
import { type NetworkInterface, tensorSpec } from './network-interface.ts';
import { parseNetwork, size } from './parse-network.ts';

export const c3dSchema = z.strictObject({
  /** Classes. */
  n_outputs: size,
  /** Ours: share of the published channels, for small networks of the same kind. */
  width: z.number().positive().default(1),
});

/** Constructor arguments of C3D, by the names of TGANv2's code. */
export type C3dConfig = z.infer<typeof c3dSchema>;

export const parseC3dConfig = (field: string, given: unknown): C3dConfig => parseNetwork(c3dSchema, field, given);

/** Frames of its videos, and their height and width in pixels. */
export const c3dFrames = 16;
export const c3dSide = 112;

/** The published number of channels, scaled to a network of this width. */
export function c3dChannels({ width }: C3dConfig, published: number): number {
  return Math.max(1, Math.round(width * published));
}

/** Videos with colours in [−1, 1]: class logits, and the features that they are computed from (fc7). */
export function c3dInterface(config: C3dConfig) {
  return {
    inputs: { video: tensorSpec('float32', 'videos', 3, c3dFrames, c3dSide, c3dSide) },
    outputs: {
      logits: tensorSpec('float32', 'videos', config.n_outputs),
      features: tensorSpec('float32', 'videos', c3dChannels(config, 4096)),
    },
  } satisfies NetworkInterface;
}
