import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import sharp from 'sharp';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import { compareClips, openPair } from './compare-clips.ts';

const folder = temporaryFolder(scopeOfAllTests());

test('a distance that is not a number is refused, naming the video', async () => {
  for (const frame of [1, 2]) {
    const background = { r: 9, g: 20 * frame, b: 30 };
    await sharp({ create: { width: 16, height: 12, channels: 3, background } })
      .png()
      .toFile(join(folder, `${frame}.png`));
  }
  const pair = await openPair(folder, folder);
  const perceptual = { batchSize: 2, measure: async () => [0.5, Number.NaN] };
  await expect(compareClips(pair, () => {}, new AbortController().signal, perceptual)).rejects.toThrow(
    `${folder}: the network gave NaN or infinite LPIPS`,
  );
});
