import type { T5Config } from '../../services/pipeline/networks/t5-encoder.ts';
import { maskToBias } from './attention.ts';
import type { Graph, Value } from './graph.ts';
import type { HalfPrecisionRules } from './half-precision-rules.ts';
import { linear } from './layers.ts';
import { add, multiply, range, reshape, silu, sizesOf, transpose } from './operators.ts';
import { relativePositionBuckets } from './relative-position.ts';

/** `wo` sees numbers beyond 65504, the largest that float16 has. */
export const t5AllowsHalf: HalfPrecisionRules = { DenseReluDense: false, wi_0: true, wi_1: true };

/**
 * The text encoder and its projection: input_ids `[n, tokens]` and attention_mask `[n, tokens]` → context
 * `[n, tokens, context_dim]`, zero where masked.
 */
export function t5Encoder(g: Graph, config: T5Config): void {
  const ids = g.input('input_ids', 'int64', ['texts', 'tokens']);
  const mask = g.input('attention_mask', 'bool', ['texts', 'tokens']);
  const { context_dim: dim, d_model: model } = config;

  const hidden = encode(g, config, ids, mask);
  const context = g.module('projections.t5', () => {
    const projected = linear(g, '0', reshape(g, hidden, [-1, model]), model, dim, { bias: false });
    const normalized = g.module('1', () =>
      g.node('LayerNormalization', [projected, g.parameter('weight', [dim]), g.parameter('bias', [dim])], {
        axis: -1,
        epsilon: { float: 1e-5 },
      }),
    );
    const shaped = reshape(g, normalized, [sizesOf(g, ids, 0, 2), dim]);
    return g.node('Where', [g.node('Unsqueeze', [mask, g.integers([2])]), shaped, g.floats([0], [])]);
  });
  g.output('context', context, 'float32', ['texts', 'tokens', dim]);
}

/** → last hidden state `[n, tokens, d_model]`. */
function encode(g: Graph, config: T5Config, ids: Value, mask: Value): Value {
  const table = g.parameter(config.embedding_name, [config.vocab_size, config.d_model]);
  let hidden = g.node('Gather', [table, ids], { axis: 0 });
  g.remember('hidden_states.0', hidden);
  const scoreBias = add(g, relativePositionBias(g, config, sizesOf(g, ids, 1, 2)), maskToBias(g, mask));
  for (let i = 0; i < config.num_layers; i++) {
    hidden = g.module(`encoder.block.${i}`, () => encoderBlock(g, config, hidden, scoreBias, ids));
    g.remember(`hidden_states.${i + 1}`, hidden);
  }
  const last = rootMeanSquareNorm(g, 'encoder.final_layer_norm', hidden, config);
  g.remember('last_hidden_state', last);
  return last;
}

function encoderBlock(g: Graph, config: T5Config, x: Value, scoreBias: Value, ids: Value): Value {
  const { d_model: model, d_ff: wide } = config;
  const rows = (value: Value) => reshape(g, value, [-1, model]);
  const tokens = (value: Value) => reshape(g, value, [sizesOf(g, ids, 0, 2), model]);
  const attended = g.module('layer.0', () => {
    const norm = rootMeanSquareNorm(g, 'layer_norm', x, config);
    return add(g, x, tokens(selfAttention(g, config, rows(norm), scoreBias, sizesOf(g, ids, 0, 2))));
  });
  return g.module('layer.1', () => {
    const norm = rows(rootMeanSquareNorm(g, 'layer_norm', attended, config));
    const out = g.module('DenseReluDense', () => {
      const activated = activation(g, config, linear(g, 'wi_0', norm, model, wide, { bias: false }));
      const gated = multiply(g, activated, linear(g, 'wi_1', norm, model, wide, { bias: false }));
      return linear(g, 'wo', gated, wide, model, { bias: false });
    });
    return add(g, attended, tokens(out));
  });
}

/** Self-attention of x `[n · tokens, d_model]`; T5 does not scale its scores. */
function selfAttention(g: Graph, config: T5Config, x: Value, scoreBias: Value, textsAndTokens: Value): Value {
  const { d_model: model, num_heads: heads, d_kv: headSize } = config;
  const project = (name: string, perm: readonly number[]) => {
    const projected = linear(g, name, x, model, heads * headSize, { bias: false });
    return transpose(g, reshape(g, projected, [textsAndTokens, heads, headSize]), perm);
  };
  return g.module('SelfAttention', () => {
    const scores = g.node('MatMul', [project('q', [0, 2, 1, 3]), project('k', [0, 2, 3, 1])]);
    const weights = g.node('Softmax', [add(g, scores, scoreBias)], { axis: -1 });
    const attended = g.node('MatMul', [weights, project('v', [0, 2, 1, 3])]);
    const merged = reshape(g, transpose(g, attended, [0, 2, 1, 3]), [-1, heads * headSize]);
    return linear(g, 'o', merged, heads * headSize, model, { bias: false });
  });
}

/** The bias that block 0 learned and all blocks share: `[1, heads, tokens, tokens]`, queries before keys. */
function relativePositionBias(g: Graph, config: T5Config, tokens: Value): Value {
  const { relative_attention_num_buckets: buckets, relative_attention_max_distance: maxDistance } = config;
  const table = g.module('encoder.block.0.layer.0.SelfAttention', () =>
    g.parameter('relative_attention_bias.weight', [buckets, config.num_heads]),
  );
  const positions = range(g, tokens);
  const relative = g.node('Sub', [reshape(g, positions, [1, -1]), reshape(g, positions, [-1, 1])]);
  const clipped = g.node('Clip', [relative, g.integers([-maxDistance], []), g.integers([maxDistance], [])]);
  const bucketOf = g.integers(relativePositionBuckets(buckets, maxDistance));
  const bucket = g.node('Gather', [bucketOf, add(g, clipped, g.integers([maxDistance], []))], { axis: 0 });
  const bias = g.node('Gather', [table, bucket], { axis: 0 });
  return g.node('Unsqueeze', [transpose(g, bias, [2, 0, 1]), g.integers([0])]);
}

function rootMeanSquareNorm(g: Graph, name: string, x: Value, config: T5Config): Value {
  return g.module(name, () => {
    const meanSquare = g.node('ReduceMean', [multiply(g, x, x), g.integers([-1])], { keepdims: 1 });
    const root = g.node('Sqrt', [add(g, meanSquare, g.floats([config.layer_norm_epsilon], []))]);
    return multiply(g, g.node('Div', [x, root]), g.parameter('weight', [config.d_model]));
  });
}

function activation(g: Graph, config: T5Config, x: Value): Value {
  if (config.feed_forward_proj === 'gated-silu') {
    return silu(g, x);
  }
  return g.node('Gelu', [x], { approximate: 'tanh' });
}
