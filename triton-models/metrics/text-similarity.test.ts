import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { parseClipConfig } from '../../services/pipeline/networks/clip.ts';
import { readClipTokenizer } from './clip-tokenizer.ts';
import { metricsGolden } from './testing/metrics-golden.ts';
import { cosine } from './text-similarity.ts';

const fixtures = join(packageRoot, 'test', 'fixtures');

test('similarities of embeddings, averaged by video', async () => {
  const golden = await metricsGolden('metrics-distributions');
  const [videos, frames, size] = golden.shape('image_embeddings') as [number, number, number];
  const [images, texts] = [await golden.floats('image_embeddings'), await golden.floats('text_embeddings')];
  const expected = await golden.floats('clipsim_per_video');
  for (let video = 0; video < videos; video++) {
    const text = texts.subarray(video * size, (video + 1) * size);
    let sum = 0;
    for (let frame = video * frames; frame < (video + 1) * frames; frame++) {
      sum += cosine(images.subarray(frame * size, (frame + 1) * size), text);
    }
    expect(Math.abs(sum / frames - expected[video]!)).toBeLessThan(1e-7);
  }
});

test("CLIP's tokens: lower case, merges, word ends, start and end, cut to the network's length", async () => {
  const golden = JSON.parse(await readFile(join(fixtures, 'goldens', 'metrics-clip', 'config.json'), 'utf8'));
  const config = parseClipConfig('constructor', golden.constructor);
  const { tokenize } = await readClipTokenizer(join(fixtures, 'tokenizers', 'clip.json'), config);
  const vocabulary = JSON.parse(await readFile(join(fixtures, 'tokenizers', 'clip.json'), 'utf8')).model.vocab;
  const ids = (...tokens: string[]) => tokens.map((token) => vocabulary[token]);
  expect(tokenize('The  CAT\ton hats')).toEqual([
    ...ids('<|startoftext|>', 'the</w>', 'cat</w>', 'on</w>', 'h', 'a', 't', 's</w>', '<|endoftext|>'),
    ...new Array(7).fill(0),
  ]);
  const long = tokenize('cat '.repeat(40));
  expect(long).toEqual([58, ...new Array(14).fill(vocabulary['cat</w>']), 59]);
});
