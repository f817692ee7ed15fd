import { z } from 'zod';
import { type NetworkInterface, tensorSpec } from './network-interface.ts';
import { parseNetwork } from './parse-network.ts';

export const lpipsSchema = z.strictObject({
  /** The classifier whose features are compared. */
  net: z.enum(['alex', 'vgg']),
});

/** Constructor arguments of LPIPS v0.1, by their published names. */
export type LpipsConfig = z.infer<typeof lpipsSchema>;

export const parseLpipsConfig = (field: string, given: unknown): LpipsConfig => parseNetwork(lpipsSchema, field, given);

/** Layers of the classifier that are compared. */
export const lpipsLayers = 5;

/** Pictures with colours in [−1, 1], one item a pair; `layers` are the parts that add up to the distance. */
export function lpipsInterface(_config: LpipsConfig) {
  return {
    inputs: {
      reference: tensorSpec('float32', 'pairs', 3, 'height', 'width'),
      candidate: tensorSpec('float32', 'pairs', 3, 'height', 'width'),
    },
    outputs: {
      distance: tensorSpec('float32', 'pairs', 1),
      layers: tensorSpec('float32', 'pairs', lpipsLayers),
    },
  } satisfies NetworkInterface;
}
