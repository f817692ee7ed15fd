import { z } from 'zod';
import { type NetworkInterface, tensorSpec } from './network-interface.ts';
import { parseNetwork, size } from './parse-network.ts';

export const i3dSchema = z.strictObject({
  num_classes: size,
  /** Ours: share of the published channels, for small networks of the same kind. */
  width: z.number().positive().default(1),
});

/** Constructor arguments of Inception-I3D, by their published names. */
export type I3dConfig = z.infer<typeof i3dSchema>;

export const parseI3dConfig = (field: string, given: unknown): I3dConfig => parseNetwork(i3dSchema, field, given);

/** Height and width of its videos, pixels. */
export const i3dSide = 224;
/** With fewer frames nothing is left to average. */
export const minI3dFrames = 9;

/** The published number of channels, scaled to a network of this width. */
export function i3dChannels({ width }: I3dConfig, published: number): number {
  return Math.max(1, Math.round(width * published));
}

/**
 * Videos with colours in [−1, 1], one item a video of at least {@link minI3dFrames} frames. Both outputs are means over
 * time: the class logits, and the features that they are computed from.
 */
export function i3dInterface(config: I3dConfig) {
  const branches = [384, 384, 128, 128].map((published) => i3dChannels(config, published));
  const features = branches.reduce((sum, channels) => sum + channels);
  return {
    inputs: { video: tensorSpec('float32', 'videos', 3, 'frames', i3dSide, i3dSide) },
    outputs: {
      logits: tensorSpec('float32', 'videos', config.num_classes),
      features: tensorSpec('float32', 'videos', features),
    },
  } satisfies NetworkInterface;
}
