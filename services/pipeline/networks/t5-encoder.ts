import { z } from 'zod';
import { type NetworkInterface, tensorSpec } from './network-interface.ts';
import { depth, parseNetwork, size } from './parse-network.ts';

const t5Arguments = z.strictObject({
  vocab_size: size,
  d_model: size,
  d_kv: size,
  num_heads: size,
  d_ff: size,
  num_layers: depth,
  relative_attention_num_buckets: size.multipleOf(4),
  relative_attention_max_distance: size,
  feed_forward_proj: z.enum(['gated-gelu', 'gated-silu']),
  layer_norm_epsilon: z.number().positive().default(1e-6),
  /** Size of the projected context. */
  context_dim: size,
  /** Checkpoints name the one embedding table differently. */
  embedding_name: z.enum(['shared.weight', 'encoder.embed_tokens.weight']).default('shared.weight'),
});

export const t5Schema = t5Arguments.superRefine((config, context) => {
  const { relative_attention_num_buckets: buckets, relative_attention_max_distance: distance } = config;
  if (distance <= buckets / 4) {
    const message = `must be above ${buckets / 4}, the distances that have buckets of their own (got ${distance})`;
    context.addIssue({ code: 'custom', path: ['relative_attention_max_distance'], message });
  }
});

/** Constructor arguments of the text encoder and its projection, by their published names. */
export type T5Config = z.infer<typeof t5Schema>;

export const parseT5Config = (field: string, given: unknown): T5Config => parseNetwork(t5Schema, field, given);

const published = z.strictObject({
  /** Where the encoder's weights come from. */
  weights_path: z.string(),
  tokens_length: size.default(128),
  context_dim: size.default(4096),
  /** How its authors' program loads the weights. */
  low_cpu_mem_usage: z.boolean().optional(),
  load_in_8bit: z.literal(false).optional(),
  load_in_4bit: z.literal(false).optional(),
});

/**
 * The arguments with which Kandinsky Video 1.1 publishes its text encoder: what they say about the network, and the number of
 * tokens. Throws as {@link parseT5Config}.
 */
export function parsePublishedTextEncoder(
  field: string,
  given: unknown,
): Pick<T5Config, 'context_dim'> & {
  tokens_length: number;
} {
  const { context_dim, tokens_length } = parseNetwork(published, field, given);
  return { context_dim, tokens_length };
}

/** The text encoder and its projection, one item a text; the context is zero where masked. */
export function t5EncoderInterface({ context_dim }: T5Config) {
  return {
    inputs: {
      input_ids: tensorSpec('int64', 'texts', 'tokens'),
      attention_mask: tensorSpec('bool', 'texts', 'tokens'),
    },
    outputs: { context: tensorSpec('float32', 'texts', 'tokens', context_dim) },
  } satisfies NetworkInterface;
}
