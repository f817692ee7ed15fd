import {
  type ClipConfig,
  clipHeadSize,
  clipImageInterface,
  clipTextInterface,
} from '../../services/pipeline/networks/clip.ts';
import { maskedScore, multiHeadAttention } from './attention.ts';
import type { Graph } from './graph.ts';
import type { HalfPrecisionRules } from './half-precision-rules.ts';
import { convolution, layerNorm, linear } from './layers.ts';
import { concat, type Layer, named, type Value } from './value.ts';

/** The published networks run in half precision; the small projections gain nothing from it. */
export const clipAllowsHalf: HalfPrecisionRules = { visual_projection: false, text_projection: false };

/** CLIP's image tower, a vision transformer, see {@link clipImageInterface}. */
export function clipImage(g: Graph, config: ClipConfig): void {
  const { inputs, outputs } = clipImageInterface(config);
  const { pixel_values: pictures } = g.takes(inputs);
  const { vision_width: width, vision_patch_size: patch, vision_layers: layers, embed_dim } = config;
  const tokens = (config.image_resolution / patch) ** 2 + 1;
  const hidden = g.module('vision_model', () => {
    const embedded = g.module('embeddings', () => {
      const options = { to: width, kernel: patch, stride: patch, bias: false };
      const patches = pictures.through(convolution('patch_embedding', options));
      const rows = patches.reshape(0, width, -1).transpose(0, 2, 1);
      const whole = g.parameter('class_embedding', [width], [1, 1, width]);
      const first = whole.node('Expand', [g.shape([pictures.sizes(0, 1), 1, width])]);
      return concat([first, rows], 1).plus(g.parameter('position_embedding.weight', [tokens, width]));
    });
    // The misspelling is the published name.
    const normalized = embedded.through(layerNorm('pre_layrnorm'));
    const encoded = normalized.through(encoder({ layers, headSize: clipHeadSize, tokens }));
    const ofWhole = encoded.node('Gather', [g.integers([0], [])], { axis: 1 });
    return ofWhole.through(layerNorm('post_layernorm'));
  });
  g.gives(outputs, { image_embeds: hidden.through(linear('visual_projection', embed_dim, { bias: false })) });
}

/** CLIP's text tower, see {@link clipTextInterface}. */
export function clipText(g: Graph, config: ClipConfig): void {
  const { inputs, outputs } = clipTextInterface(config);
  const { input_ids: ids } = g.takes(inputs);
  const { transformer_width: width, transformer_heads: heads, transformer_layers: layers, context_length } = config;
  const hidden = g.module('text_model', () => {
    const embedded = g.module('embeddings', () => {
      const table = g.parameter('token_embedding.weight', [config.vocab_size, width]);
      return table.rows(ids).plus(g.parameter('position_embedding.weight', [context_length, width]));
    });
    const options = { layers, headSize: width / heads, tokens: context_length, bias: causalBias(g, context_length) };
    return embedded.through(encoder(options), layerNorm('final_layer_norm'));
  });
  const atEnd = endOfText(ids, context_length).matmul(hidden).reshape(-1, width);
  g.gives(outputs, { text_embeds: atEnd.through(linear('text_projection', config.embed_dim, { bias: false })) });
}

/** One at the first occurrence of each text's largest id, zero elsewhere: `[texts, 1, tokens]`. */
function endOfText(ids: Value, tokens: number): Value {
  const { graph } = ids;
  const positions = graph.integers(
    Array.from({ length: tokens }, (_, i) => i),
    [1, tokens],
  );
  const end = ids.cast('float32').node('ArgMax', [], { axis: 1, keepdims: 1 });
  return positions.node('Equal', [end]).cast('float32').unsqueeze(1);
}

/** Keeps tokens from attending to later ones: added to scores `[texts, heads, queries, keys]`. */
function causalBias(g: Graph, tokens: number): Value {
  const values = Array.from({ length: tokens ** 2 }, (_, i) => (i % tokens > Math.floor(i / tokens) ? maskedScore : 0));
  return g.floats(values, [1, 1, tokens, tokens]);
}

interface EncoderOptions {
  layers: number;
  headSize: number;
  /** Of each item. */
  tokens: number;
  /** Added to the scores of attention. */
  bias?: Value;
}

/** Transformer layers `encoder` with the norms before attention and feed-forward: x `[n, tokens, width]`. */
function encoder({ layers, ...options }: EncoderOptions): Layer {
  const all = Array.from({ length: layers }, (_, i) => named(`encoder.layers.${i}`, encoderLayer(options)));
  return (x) => x.through(...all);
}

function encoderLayer({ headSize, tokens, bias }: Omit<EncoderOptions, 'layers'>): Layer {
  return (x) => {
    const width = x.size(-1);
    const rows: Layer = (h) => h.reshape(-1, width);
    const unfolded: Layer = (h) => h.reshape(-1, tokens, width);
    const attention = named('self_attn', (h) => {
      const all = { values: h, grid: [-1, tokens] };
      return multiHeadAttention(all, all, {
        channels: width,
        headSize,
        layers: ['q_proj', 'k_proj', 'v_proj', 'out_proj'],
        hasLayerBias: true,
        scale: headSize ** -0.5,
        ...(bias && { bias }),
      });
    });
    const feedForward = named('mlp', (h) =>
      h.through(linear('fc1', 4 * width, { bias: true }), quickGelu, linear('fc2', width, { bias: true })),
    );
    const attended = x.plus(x.through(layerNorm('layer_norm1'), rows, attention, unfolded));
    return attended.plus(attended.through(layerNorm('layer_norm2'), rows, feedForward, unfolded));
  };
}

const quickGelu: Layer = (x) => x.times(x.times(1.702).node('Sigmoid'));
