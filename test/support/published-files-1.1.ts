import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { packageRoot } from '../../services/kit/package-root.ts';
import { conditionedOn, loadPreset, type Preset, presetFolder } from '../../services/pipeline/preset.ts';
import type { Checkpoint } from '../../triton-models/checkpoints/checkpoint.ts';
import { writeRandomWeights } from '../../triton-models/checkpoints/random-weights.ts';
import { readSafetensors } from '../../triton-models/checkpoints/safetensors.ts';
import { TorchFile } from '../../triton-models/checkpoints/testing/torch-file.ts';
import { parametersOf, presetNetworks } from '../../triton-models/networks/preset-networks.ts';
import { tensorsOf, writeFlan, writeUNet } from './published-files.ts';

/** A preset of the smallest networks of Kandinsky Video 1.1, with random weights. */
export const tinyPreset11 = join(packageRoot, 'test', 'fixtures', 'presets', 'tiny-1.1.json');

/** The same in `folder`, with the sources of Kandinsky Video 1.1. */
export async function tinyPublishedPreset11(folder: string): Promise<Preset> {
  await Promise.all(['presets', 'sources', 'weights'].map((name) => mkdir(join(folder, name))));
  const tiny = JSON.parse(await readFile(tinyPreset11, 'utf8'));
  const weights = Object.fromEntries(Object.keys(tiny.weights).map((key) => [key, `../weights/${key}.safetensors`]));
  const textEncoder = { ...tiny.textEncoder, tokenizer: '../weights/tokenizer.json' };
  await writeFile(join(folder, 'presets', 'tiny-1.1.json'), JSON.stringify({ ...tiny, textEncoder, weights }));
  const sources = join(presetFolder, '..', 'sources', 'kandinsky-video-1.1.json');
  await copyFile(sources, join(folder, 'sources', 'tiny-1.1.json'));
  return loadPreset(join(folder, 'presets', 'tiny-1.1.json'));
}

/** Writes seeded weights for every network as Kandinsky Video 1.1's and Flan-UL2's files. */
export async function writePublishedFiles11(preset: Preset, published: string): Promise<void> {
  await mkdir(join(published, 'flan-ul2'), { recursive: true });
  const networks = presetNetworks(preset);
  const random = async (...keys: (keyof typeof networks)[]): Promise<Checkpoint> => {
    const path = join(published, `${keys[0]}.random`);
    await writeRandomWeights(path, new Map(keys.flatMap((key) => [...parametersOf(networks[key]!).shapes])), 1);
    return readSafetensors(path);
  };
  const text = await random('textEncoder');
  await writeFlan(preset, published, text, 'pytorch');
  await writeProjections(join(published, 't5_projections.pt'), text);
  await writeUNet(join(published, 't2v.pt'), await random('keyframes', 'firstFrame'));
  await writeUNet(join(published, 'interpolation.pt'), await random('interpolation'));
  await writeState(join(published, 'movq.pt'), await random('pictureDecoder', 'pictureEncoder'));
  await writeState(join(published, 'video_movq.pt'), await random('decoder'));
  await writeFile(join(published, 'configs.json'), JSON.stringify(configsOf(preset)));
}

/** The published arguments of each network. */
export function configsOf(preset: Preset) {
  const { keyframes, interpolation, decoder, textEncoder } = preset;
  return {
    t2v: { configs: keyframes.network },
    interpolation: { configs: { ...interpolation.network, time_downsample: [false] } },
    image_movq: { configs: { ...conditionedOn(preset)!.network, temporal: false, dropout: 0 } },
    video_movq: { configs: decoder.network },
    text_encoder: { weights_path: 'google/flan-ul2', tokens_length: 32, context_dim: textEncoder.network.context_dim },
  };
}

/** { projection_base, projection_interpolation }: the second is published, but never used. */
async function writeProjections(path: string, text: Checkpoint): Promise<void> {
  const torch = new TorchFile();
  const projection = await tensorsOf(torch, text, 'projections.t5.');
  const value = new Map(['projection_base', 'projection_interpolation'].map((name) => [name, projection]));
  await torch.write(path, value);
}

async function writeState(path: string, network: Checkpoint): Promise<void> {
  const torch = new TorchFile();
  await torch.write(path, await tensorsOf(torch, network));
}
