import { z } from 'zod';
import { type NetworkInterface, tensorSpec } from './network-interface.ts';
import { parseNetwork, size } from './parse-network.ts';

/** Channels of each head of the image tower. */
export const clipHeadSize = 64;

export const clipSchema = z
  .strictObject({
    embed_dim: size,
    /** Side of the square pictures, pixels. */
    image_resolution: size,
    vision_layers: size,
    vision_width: size.multipleOf(clipHeadSize),
    vision_patch_size: size,
    /** Tokens of a text: start, words, end, padding. */
    context_length: size,
    vocab_size: size,
    transformer_width: size,
    transformer_heads: size,
    transformer_layers: size,
  })
  .superRefine((config, context) => {
    for (const [whole, part] of [
      ['image_resolution', 'vision_patch_size'],
      ['transformer_width', 'transformer_heads'],
    ] as const) {
      if (config[whole] % config[part] !== 0) {
        const message = `must be a multiple of ${part}, ${config[part]} (got ${config[whole]})`;
        context.addIssue({ code: 'custom', path: [whole], message });
      }
    }
  });

/** Constructor arguments of both towers, by their published names (those of the vision transformers). */
export type ClipConfig = z.infer<typeof clipSchema>;

export const parseClipConfig = (field: string, given: unknown): ClipConfig => parseNetwork(clipSchema, field, given);

/** Normalised pictures, one item a picture; embeddings are as long as the network makes them. */
export function clipImageInterface({ image_resolution: side, embed_dim }: ClipConfig) {
  return {
    inputs: { pixel_values: tensorSpec('float32', 'images', 3, side, side) },
    outputs: { image_embeds: tensorSpec('float32', 'images', embed_dim) },
  } satisfies NetworkInterface;
}

/** Texts of `context_length` tokens; the text ends at its largest token id, and what follows has no effect. */
export function clipTextInterface({ context_length, embed_dim }: ClipConfig) {
  return {
    inputs: { input_ids: tensorSpec('int64', 'texts', context_length) },
    outputs: { text_embeds: tensorSpec('float32', 'texts', embed_dim) },
  } satisfies NetworkInterface;
}
