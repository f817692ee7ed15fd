import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { temporaryFolder } from '../../kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../kit/testing/test-scope.ts';
import { listPresets, loadPreset, type Preset } from '../preset.ts';

const folder = temporaryFolder(scopeOfAllTests());

/** Loads a preset, nano if none is named, with this value in place of its own. */
async function loadWith(field: string, value: unknown, base = 'nano'): Promise<Preset> {
  const { folder: _, ...preset } = loadPreset(base);
  const path = field.split('.');
  let holder: Record<string, unknown> = preset;
  for (const name of path.slice(0, -1)) {
    holder = holder[name] as Record<string, unknown>;
  }
  holder[path.at(-1)!] = value;
  const file = join(folder, 'changed.json');
  await writeFile(file, JSON.stringify(preset));
  return loadPreset(file);
}

test.each(listPresets())('%s has no fault', (name) => {
  expect(loadPreset(name).name).toBe(name);
});

test.each<[string, unknown, string]>([
  [
    'name',
    '../x',
    '`name` must be 1 to 100 characters without slashes and control characters, not starting with a dot',
  ],
  ['name', '', '`name` must be 1 to 100 characters without slashes'],
  ['keyframes.network.num_channels', 8, '`keyframes.network.num_channels` must be 4 (got 8)'],
  ['keyframes.network.num_frames', 5, '`keyframes.network.num_frames` must be 15, like keyframes.frames (got 5)'],
  [
    'keyframes.network.context_dim',
    64,
    '`keyframes.network.context_dim` must be 128, like textEncoder.network.context_dim (got 64)',
  ],
  [
    'keyframes.network.spatial_position_embedding',
    [8, 8],
    '`keyframes.network.spatial_position_embedding` must be an eighth of height and width',
  ],
  ['interpolation.network.out_channels', 4, '`interpolation.network.out_channels` must be 12 (got 4)'],
  ['interpolation.skips', [3, 20], '`interpolation.skips` must be numbers below 20 (got [3, 20])'],
  [
    'decoder.network.ch_mult',
    [1, 2],
    '`decoder.network.ch_mult` must be a list of 4, since latents are 8 times smaller than frames (got [1, 2])',
  ],
  ['decoder.network.z_channels', 8, '`decoder.network.z_channels` must be 4 (got 8)'],
  [
    'textEncoder.endTokenId',
    130,
    '`textEncoder.endTokenId` must be below textEncoder.network.vocab_size, 130 (got 130)',
  ],
  [
    'frameSize.multipleOf',
    8,
    '`frameSize.multipleOf` must be a multiple of 16, for the 2 levels of keyframes.network.dim_mult',
  ],
  [
    'keyframes.network.groups',
    7,
    '`keyframes.network.groups` must divide the channels of every norm: 40, 80, 160 (got 7)',
  ],
  [
    'keyframes.network.temporal_conditioning',
    'Conv2dAttn2dBlocks',
    '`keyframes.network.temporal_conditioning` must be one of Conv1dAttn1dLayers, Conv1dAttn1dBlocks',
  ],
  [
    'interpolation.network.temporal_conditioning',
    'Conv1dAttn1dBlocks',
    '`interpolation.network.temporal_conditioning` must be absent in the interpolation network (got Conv1dAttn1dBlocks)',
  ],
  ['interpolation.network.sequence_frames', 5, '`interpolation.network.num_channels` must be 9 (got 20)'],
  [
    'keyframes.network.sequence_frames',
    5,
    '`keyframes.network.sequence_frames` must be absent in the keyframe network',
  ],
  ['extends', '../nano', '`extends` must be the name of a preset in the same folder (got "../nano")'],
  ['extends', 'nano', '`extends` must be the name of a preset in the same folder (got "nano"): there is no '],
  ['decoder.kind', 'video', 'and a first frame of kind "inpainted" (got an object)'],
  ['extends', 'changed', '`extends` must lead to a whole preset in at most 8 steps'],
  ['keyframes.network.num_blocks', [3, 1000], '`keyframes.network.num_blocks.1` must be at most 256 (got 1000)'],
  ['decoder.network.num_res_blocks', 1e6, '`decoder.network.num_res_blocks` must be at most 256 (got 1000000)'],
  ['textEncoder.network.d_ff', 2 ** 52, '`textEncoder.network.d_ff` must be at most 1048576 (got 4503599627370496)'],
  ['textEncoder.maxTokens', 1e6, '`textEncoder.maxTokens` must be at most 8192 (got 1000000)'],
  ['keyframes.network.groups', 0, '`keyframes.network.groups` must be more than 0 (got 0)'],
  [
    'keyframes.network.head_dim',
    33,
    '`keyframes.network.head_dim` must divide the channels of every attention: 80, 160 (got 33)',
  ],
  [
    'keyframes.network.compression_ratio',
    3,
    '`keyframes.network.compression_ratio` must divide the channels of every residual block: 80, 160 (got 3)',
  ],
  ['decoder.network.ch', 20, '`decoder.network.ch` must be a multiple of groups, 8 (got 20)'],
  [
    'textEncoder.network.relative_attention_max_distance',
    8,
    '`textEncoder.network.relative_attention_max_distance` must be above 8',
  ],
  ['frameSize.default.width', 64, '`frameSize.default.width` must be a multiple of 16 from 128 to 128 (got 64)'],
  ['frameSize.maximum.height', 64, '`frameSize.minimum.height` must be a multiple of 16 from 128 to 64 (got 128)'],
  ['frameSize.compiled', [{ width: 128, height: 256 }], '`frameSize.compiled.0.height` must be a multiple of 16'],
])('%s: %j is not a valid preset', async (field, value, fault) => {
  await expect(loadWith(field, value)).rejects.toMatchObject({
    code: Status.INVALID_ARGUMENT,
    message: expect.stringContaining(fault),
  });
});

test('windows of positions must fit at the deepest level with attention', async () => {
  const { folder: _, ...published } = loadPreset('paper-conv1d-attn3d-blocks');
  const file = join(folder, 'windows.json');
  await writeFile(file, JSON.stringify({ ...published, frameSize: loadPreset('kandinsky-video-1.0').frameSize }));
  expect(() => loadPreset(file)).toThrow(
    '`frameSize.multipleOf` must be a multiple of 128, for the 4 levels of keyframes.network.dim_mult and attention in windows (got 64)',
  );
});

test.each<[string, unknown, string]>([
  ['keyframes.network.num_channels', 8, '`keyframes.network.num_channels` must be 9'],
  ['keyframes.network.motion_score', false, '`keyframes.network.motion_score` must be true (got false)'],
  ['keyframes.network.colour', 1, '`keyframes.network.colour` is not a known field'],
  ['keyframes.spacing', 'trailing', '`keyframes.spacing` must be leading, on the schedule cosine-zero-snr'],
  ['interpolation.spacing', 'own', '`interpolation.spacing` must be leading or trailing, on the schedule'],
  ['firstFrame', undefined, '`firstFrame` must be of kind "conditioned", for a keyframe network of version 1.1'],
  ['firstFrame.network.z_channels', 8, '`firstFrame.network.z_channels` must be 4 (got 8)'],
  ['firstFrame.defaults.motion', 'wild', '`firstFrame.defaults.motion` must be one of low, medium, high, extreme'],
  ['weights.firstFrame', undefined, "`weights.firstFrame` must be the file of the first frame's MoVQ"],
])('%s: %j is not valid in a preset that continues a first frame', async (field, value, fault) => {
  await expect(loadWith(field, value, 'kandinsky-video-1.1')).rejects.toThrow(fault);
});

test('a preset whose keyframes come from the prompt alone has no first frame', async () => {
  const { firstFrame } = loadPreset('kandinsky-video-1.1');
  await expect(loadWith('firstFrame', firstFrame)).rejects.toThrow('`firstFrame` must be absent');
});

test('things that are sampled one by one need the encoder of an inpainted first frame', async () => {
  await expect(loadWith('firstFrame', undefined)).rejects.toThrow('`things` must be absent without a decoder of kind');
  await expect(loadWith('things.between', '(')).rejects.toThrow('`things.between` must be a regular expression');
});

test('every fault is named at once', async () => {
  await expect(
    loadWith('decoder.network', { ...loadPreset('nano').decoder.network, z_channels: 8, ch_mult: [1] }),
  ).rejects.toThrow(/`decoder\.network\.z_channels` .*; `decoder\.network\.ch_mult` /);
});
