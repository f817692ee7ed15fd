import sharp from 'sharp';
import type { ClipConfig } from '../../services/pipeline/networks/clip.ts';
import { tensor } from '../../services/pipeline/tensor.ts';
import { batches } from './batches.ts';
import type { ClipTokenizer } from './clip-tokenizer.ts';
import { embeddingRows } from './feature-rows.ts';
import { type Clip, firstFrames } from './open-clip.ts';
import type { RunModel } from './run-model.ts';

/** CLIP's two towers, by the names of their models. */
export interface ClipTowers {
  image: string;
  text: string;
  config: ClipConfig;
  tokenizer: ClipTokenizer;
  run: RunModel;
}

/** Texts or frames of one call. */
const itemsOfCall = 16;
/** Mean and deviation of the colours that CLIP was trained on, values in 0…1. */
const mean = [0.48145466, 0.4578275, 0.40821073];
const deviation = [0.26862954, 0.26130258, 0.27577711];

/** An embedding of each text. */
export async function embedTexts(
  { text, config, tokenizer, run }: ClipTowers,
  texts: readonly string[],
): Promise<Float32Array[]> {
  const embeddings: Float32Array[] = [];
  for await (const some of batches(texts, itemsOfCall)) {
    const ids = BigInt64Array.from(
      some.flatMap((each) => tokenizer.tokenize(each)),
      BigInt,
    );
    const { text_embeds } = await run(text, { input_ids: tensor('int64', [some.length, config.context_length], ids) });
    embeddings.push(...embeddingRows(text_embeds!, 'prompts'));
  }
  return embeddings;
}

/** Cosine of each of the first `frames` frames' embeddings with a text's; holds few frames at a time. */
export async function frameSimilarities(
  { image, config, run }: ClipTowers,
  clip: Clip,
  frames: number,
  text: Float32Array,
  onFrame: () => void,
): Promise<number[]> {
  const side = config.image_resolution;
  const similarities: number[] = [];
  for await (const pictures of batches(firstFrames(clip, frames), itemsOfCall)) {
    const planes = new Float32Array(pictures.length * 3 * side ** 2);
    for (const [index, picture] of pictures.entries()) {
      planes.set(await preparePicture(picture, clip, side), index * 3 * side ** 2);
    }
    const { image_embeds } = await run(image, {
      pixel_values: tensor('float32', [pictures.length, 3, side, side], planes),
    });
    for (const embedding of embeddingRows(image_embeds!, clip.path)) {
      similarities.push(cosine(embedding, text));
      onFrame();
    }
  }
  return similarities;
}

/**
 * CLIP's own preparation: the shorter side scaled bicubically, cropped to the centre, colours normalised; `[3, side,
 * side]`.
 */
async function preparePicture(picture: Uint8Array, { width, height }: Clip, side: number): Promise<Float32Array> {
  const square = await sharp(picture, { raw: { width, height, channels: 3 } })
    .resize(side, side, { fit: 'cover', position: 'centre', kernel: 'cubic' })
    .raw()
    .toBuffer();
  const pixels = side ** 2;
  return Float32Array.from({ length: 3 * pixels }, (_, i) => {
    const channel = Math.floor(i / pixels);
    return (square[(i % pixels) * 3 + channel]! / 255 - mean[channel]!) / deviation[channel]!;
  });
}

export function cosine(a: Float32Array, b: Float32Array): number {
  let [product, ofA, ofB] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    product += a[i]! * b[i]!;
    ofA += a[i]! ** 2;
    ofB += b[i]! ** 2;
  }
  return product / Math.sqrt(ofA * ofB);
}
