import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { parseMovqConfig } from '../../services/pipeline/networks/movq.ts';
import { parseUNetConfig } from '../../services/pipeline/networks/unet.ts';
import {
  parseInterpolationUNet11Config,
  parseKeyframeUNet11Config,
} from '../../services/pipeline/networks/unet-1.1.ts';
import { loadPreset } from '../../services/pipeline/preset.ts';
import { ParameterList } from '../checkpoints/parameter-list.ts';
import { readSafetensors } from '../checkpoints/safetensors.ts';
import { parametersOf, presetNetworks } from '../networks/preset-networks.ts';
import { Graph } from './graph.ts';
import { interpolationUNet } from './interpolation-unet.ts';
import { interpolationUNet11 } from './interpolation-unet-1.1.ts';
import { keyframeUNet } from './keyframe-unet.ts';
import { firstFrameUNet, keyframeUNet11 } from './keyframe-unet-1.1.ts';
import { movqDecoder } from './movq-decoder.ts';
import { movqEncoder } from './movq-encoder.ts';

const goldens = join(packageRoot, 'test', 'fixtures', 'goldens');

function list(...networks: ((g: Graph) => void)[]): ParameterList {
  const parameters = new ParameterList();
  for (const network of networks) {
    network(new Graph('network', parameters));
  }
  return parameters;
}

async function published(name: string): Promise<{ architecture: unknown; shapes: Map<string, readonly number[]> }> {
  const architecture = JSON.parse(await readFile(join(goldens, name, 'config.json'), 'utf8')).constructor;
  const { tensors } = await readSafetensors(join(goldens, name, 'weights.safetensors'));
  return { architecture, shapes: new Map([...tensors].map(([key, { shape }]) => [key, shape])) };
}

const sorted = (shapes: ReadonlyMap<string, readonly number[]>) => [...shapes].sort(([a], [b]) => (a < b ? -1 : 1));

test.each([
  ['keyframe-unet-a', keyframeUNet],
  ['keyframe-unet-b', keyframeUNet],
  ['keyframe-unet-conv1dattn1dlayers', keyframeUNet],
  ['keyframe-unet-conv1dattn3dblocks', keyframeUNet],
  ['keyframe-unet-conv3dattn1dblocks', keyframeUNet],
  ['interpolation-unet-a', interpolationUNet],
  ['interpolation-unet-b', interpolationUNet],
])('%s has the published parameters and the null embedding', async (name, network) => {
  const { architecture, shapes } = await published(name);
  const config = parseUNetConfig('constructor', architecture);
  shapes.set('null_embedding', [config.context_dim]);
  expect(sorted(list((g) => network(g, config)).shapes)).toEqual(sorted(shapes));
});

test("Kandinsky Video 1.1's U-Nets have the published parameters and the null embedding", async () => {
  const keyframes = await published('keyframe-unet-1.1-video-a');
  const ofVideos = parseKeyframeUNet11Config('constructor', keyframes.architecture);
  keyframes.shapes.set('null_embedding', [ofVideos.context_dim]);
  const both = list(
    (g) => keyframeUNet11(g, ofVideos),
    (g) => firstFrameUNet(g, ofVideos),
  );
  expect(sorted(both.shapes)).toEqual(sorted(keyframes.shapes));

  const interpolation = await published('interpolation-unet-1.1-a');
  const config = parseInterpolationUNet11Config('constructor', interpolation.architecture);
  interpolation.shapes.set('null_embedding', [config.context_dim]);
  expect(sorted(list((g) => interpolationUNet11(g, config)).shapes)).toEqual(sorted(interpolation.shapes));
});

test.each([
  ['an unknown argument', { colour: 1 }, '`constructor.colour` is not a known field'],
  [
    'a part that is not implemented',
    { add_new_temporal_params: true },
    '`constructor.add_new_temporal_params` must be',
  ],
  ['groups that do not divide', { groups: 7 }, '`constructor.groups` must divide the channels of every norm'],
])('%s of 1.1 is named', async (_, wrong, fault) => {
  const { architecture } = await published('interpolation-unet-1.1-a');
  const parse = () => parseInterpolationUNet11Config('constructor', { ...(architecture as object), ...wrong });
  expect(parse).toThrow(fault);
});

test.each([
  ['kandinsky-video-1.0', 4_143_743_108],
  ['paper-conv1d-attn1d-layers', 3_913_802_378],
  ['paper-conv1d-attn3d-blocks', 4_143_743_108],
  ['paper-conv3d-attn1d-blocks', 4_916_374_532],
])("%s: the keyframe network's parameters", (name, count) => {
  expect(parametersOf(presetNetworks(loadPreset(name)).keyframes).count).toBe(count);
});

// The rows of table 3; those that differ only in what was trained share a network.
test.each([
  ['image', 'kandinsky-video-1.0', 161],
  ['3×1×1, temporal layers trained', 'paper-decoder-conv-3x1x1', 203],
  ['3×3×3, temporal layers trained', 'paper-decoder-conv-3x3x3', 539],
  ['3×1×1, decoder trained', 'paper-decoder-conv-3x1x1', 203],
  ['3×3×3, decoder trained', 'paper-decoder-conv-3x3x3', 539],
  ['3×1×1 with attention', 'paper-decoder-conv-3x1x1-attention', 220],
  ['3×3×3 with attention', 'kandinsky-video-1.0-temporal-decoder', 556],
  ['residual blocks with attention', 'paper-decoder-blocks-attention', 220],
  ['2D → 3D', 'paper-decoder-3d', 419],
])("decoder %s has the paper's parameters within 1 %", (_, name, millions) => {
  const { count } = parametersOf(presetNetworks(loadPreset(name)).decoder);
  expect(Math.abs(count / (millions * 1e6) - 1)).toBeLessThan(0.01);
});

test('MoVQ has the published parameters', async () => {
  const { architecture, shapes } = await published('movq-image-decoder');
  const config = parseMovqConfig('constructor', architecture);
  const both = list(
    (g) => movqEncoder(g, config),
    (g) => movqDecoder(g, config),
  );
  expect(sorted(both.shapes)).toEqual(sorted(shapes));
});
