import { expect, test } from '@jest/globals';
import type { z } from 'zod';
import type { presetList } from '../../gateway/api/http/presets.ts';
import type { VideoObject } from '../../gateway/api/http/video-object.ts';
import type { Preset, Video } from '../../gateway/page/wire.ts';

type PresetObject = z.infer<typeof presetList>['data'][number];

// The compiler checks: what the API answers is what the page reads.
const videoOfPage = (video: VideoObject): Video => video;
const presetOfPage = (preset: PresetObject): Preset => preset;

test('the types of the page agree with those of the API', () => {
  expect([videoOfPage, presetOfPage]).toHaveLength(2);
});
