import { type T5Config, t5EncoderInterface } from '../../services/pipeline/networks/t5-encoder.ts';
import { maskToBias, multiHeadAttention } from './attention.ts';
import type { Graph } from './graph.ts';
import type { HalfPrecisionRules } from './half-precision-rules.ts';
import { layerNorm, linear } from './layers.ts';
import { relativePositionBuckets } from './relative-position.ts';
import { type Layer, named, silu, type Value } from './value.ts';

/** `wo` sees numbers beyond 65504, float16's maximum. */
export const t5AllowsHalf: HalfPrecisionRules = { DenseReluDense: false, wi_0: true, wi_1: true };

/** The served text encoder and its projection, see {@link t5EncoderInterface}. */
export function t5Encoder(g: Graph, config: T5Config): void {
  const { inputs, outputs } = t5EncoderInterface(config);
  const { input_ids: ids, attention_mask: mask } = g.takes(inputs);
  const hidden = encode(config, ids, mask);
  const context = g.module('projections.t5', () => {
    const projected = hidden
      .reshape(-1, config.d_model)
      .through(linear('0', config.context_dim, { bias: false }), layerNorm('1'));
    const shaped = projected.reshape(ids.sizes(0, 2), config.context_dim);
    return mask.unsqueeze(2).node('Where', [shaped, g.floats([0], [])]);
  });
  g.gives(outputs, { context });
}

/** Returns the last hidden state `[n, tokens, d_model]`. */
function encode(config: T5Config, ids: Value, mask: Value): Value {
  const { graph } = ids;
  let hidden = graph.parameter(config.embedding_name, [config.vocab_size, config.d_model]).rows(ids);
  graph.remember('hidden_states.0', hidden);
  const scoreBias = relativePositionBias(config, ids.sizes(1, 2)).plus(maskToBias(mask));
  for (let i = 0; i < config.num_layers; i++) {
    hidden = hidden.through(named(`encoder.block.${i}`, encoderBlock(config, scoreBias, ids)));
    graph.remember(`hidden_states.${i + 1}`, hidden);
  }
  const last = hidden.through(rootMeanSquareNorm('encoder.final_layer_norm', config));
  graph.remember('last_hidden_state', last);
  return last;
}

function encoderBlock(config: T5Config, scoreBias: Value, ids: Value): Layer {
  const { d_model: model } = config;
  const norm = rootMeanSquareNorm('layer_norm', config);
  const rows: Layer = (x) => x.reshape(-1, model);
  const tokens: Layer = (x) => x.reshape(ids.sizes(0, 2), model);
  const attention: Layer = (x) => x.through(selfAttention(config, scoreBias, ids.sizes(0, 2)));
  return (x) =>
    x.through(
      named('layer.0', (h) => h.plus(h.through(norm, rows, attention, tokens))),
      named('layer.1', (h) => h.plus(h.through(norm, rows, gatedFeedForward(config), tokens))),
    );
}

/** Self-attention of x `[n · tokens, d_model]`; T5 does not scale its scores. */
function selfAttention(config: T5Config, bias: Value, textsAndTokens: Value): Layer {
  const { num_heads: heads, d_kv: headSize } = config;
  return named('SelfAttention', (x) => {
    const tokens = { values: x, grid: [textsAndTokens] };
    return multiHeadAttention(tokens, tokens, {
      channels: heads * headSize,
      to: config.d_model,
      headSize,
      layers: ['q', 'k', 'v', 'o'],
      bias,
    });
  });
}

function gatedFeedForward(config: T5Config): Layer {
  const { d_model: model, d_ff: wide } = config;
  return named('DenseReluDense', (x) => {
    const gate = x.through(linear('wi_0', wide, { bias: false }), activation(config));
    return gate.times(x.through(linear('wi_1', wide, { bias: false }))).through(linear('wo', model, { bias: false }));
  });
}

/** The bias that block 0 learned and all blocks share: `[1, heads, tokens, tokens]`, queries before keys. */
function relativePositionBias(config: T5Config, tokens: Value): Value {
  const { relative_attention_num_buckets: buckets, relative_attention_max_distance: maxDistance } = config;
  const { graph } = tokens;
  const table = graph.module('encoder.block.0.layer.0.SelfAttention', () =>
    graph.parameter('relative_attention_bias.weight', [buckets, config.num_heads]),
  );
  const positions = tokens.range();
  const relative = positions.reshape(1, -1).minus(positions.reshape(-1, 1));
  const clipped = relative.clip(-maxDistance, maxDistance);
  const bucketOf = graph.integers(relativePositionBuckets(buckets, maxDistance));
  const bias = table.rows(bucketOf.rows(clipped.plus(maxDistance)));
  return bias.transpose(2, 0, 1).unsqueeze(0);
}

function rootMeanSquareNorm(name: string, config: T5Config): Layer {
  return named(name, (x) => {
    const { graph } = x;
    const meanSquare = x.times(x).node('ReduceMean', [graph.integers([-1])], { keepdims: 1 });
    const root = meanSquare.plus(config.layer_norm_epsilon).node('Sqrt');
    return x.over(root).times(graph.parameter('weight', [config.d_model]));
  });
}

function activation(config: T5Config): Layer {
  return config.feed_forward_proj === 'gated-silu' ? silu : (x) => x.node('Gelu', [], { approximate: 'tanh' });
}
