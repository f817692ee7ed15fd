import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadPreset, type Preset, presetPath } from '../../services/pipeline/preset.ts';
import { byteLength } from '../../services/pipeline/safetensors/element-types.ts';
import { smallNano } from '../../services/pipeline/testing.ts';
import type { Checkpoint } from '../../triton-models/checkpoints/checkpoint.ts';
import { writeRandomWeights } from '../../triton-models/checkpoints/random-weights.ts';
import { readSafetensors, readTensorBytes } from '../../triton-models/checkpoints/safetensors.ts';
import { writeSafetensors } from '../../triton-models/checkpoints/safetensors-writer.ts';
import type { Call } from '../../triton-models/checkpoints/testing/pickle-writer.ts';
import { TorchFile } from '../../triton-models/checkpoints/testing/torch-file.ts';
import { parametersOf } from '../../triton-models/networks/preset-networks.ts';
import { linkOrCopy } from '../../triton-models/packaging/link-file.ts';
import { servedModels } from '../../triton-models/packaging/served-models.ts';
import { presetSources } from '../../triton-models/sources/preset-sources.ts';

/**
 * A preset in `folder` that is nano with small networks, and has the sources of Kandinsky Video 1.0: the same files and
 * names in them, in small.
 */
export async function tinyPublishedPreset(folder: string): Promise<Preset> {
  await Promise.all(['presets', 'sources'].map((name) => mkdir(join(folder, name))));
  // Kandinsky Video 1.0 takes no pictures, and prompts as they are.
  const { folder: _folder, firstFrame: _firstFrame, things: _things, ...nano } = smallNano();
  const weights = { textEncoder: 't5', keyframes: 'key', interpolation: 'between', decoder: 'movq' };
  const inFolder = (name: string) => join('..', 'weights', 'tiny', name);
  const preset = {
    ...nano,
    name: 'tiny',
    textEncoder: { ...nano.textEncoder, tokenizer: inFolder('tokenizer.json') },
    weights: Object.fromEntries(Object.entries(weights).map(([key, name]) => [key, inFolder(`${name}.safetensors`)])),
  };
  await writeFile(join(folder, 'presets', 'tiny.json'), JSON.stringify(preset));
  const sources = presetSources(loadPreset('kandinsky-video-1.0'));
  await writeFile(join(folder, 'sources', 'tiny.json'), JSON.stringify(sources));
  return loadPreset(join(folder, 'presets', 'tiny.json'));
}

/** How Flan-UL2's encoder is published. */
type EncoderFormat = 'safetensors' | 'pytorch';

/**
 * Writes seeded weights for every network: into `plain` as one safetensors file each, named for the model, and into
 * `published` as Kandinsky Video 1.0's and Flan-UL2's files.
 */
export async function writePublishedFiles(
  preset: Preset,
  { plain, published, encoder }: { plain: string; published: string; encoder: EncoderFormat },
): Promise<void> {
  await Promise.all([plain, published, join(published, 'flan-ul2')].map((path) => mkdir(path, { recursive: true })));
  const files = new Map<string, Checkpoint>();
  for (const model of servedModels(preset)) {
    const path = join(plain, `${model.name}.safetensors`);
    await writeRandomWeights(path, parametersOf(model).shapes, 1);
    files.set(model.name, await readSafetensors(path));
  }
  const text = files.get('text_encoder')!;
  await writeUNet(join(published, 'kandinsky_video.pt'), files.get('keyframe_unet')!, text);
  await writeUNet(join(published, 'kandinsky_video_interpolation.pt'), files.get('interpolation_unet')!);
  await writeMovq(join(published, 'movq.pt'), files.get('movq_decoder')!);
  await writeFlan(preset, published, text, encoder);
}

/** Writes Flan-UL2's files. */
export async function writeFlan(
  preset: Preset,
  published: string,
  text: Checkpoint,
  format: EncoderFormat,
): Promise<void> {
  await writeEncoder(join(published, 'flan-ul2'), text, format);
  const { num_heads, d_model, feed_forward_proj } = preset.textEncoder.network;
  const config = { model_type: 't5', num_heads, d_model, feed_forward_proj };
  await writeFile(join(published, 'flan-ul2', 'config.json'), JSON.stringify(config));
  const nano = loadPreset('nano');
  await linkOrCopy(presetPath(nano, nano.textEncoder.tokenizer), join(published, 'tokenizer.json'));
}

/** { unet, null_embedding [, projections] }; one matrix lies transposed, as a trainer may leave it. */
export async function writeUNet(path: string, unet: Checkpoint, text?: Checkpoint): Promise<void> {
  const torch = new TorchFile();
  const state = await tensorsOf(torch, unet);
  const embedding = state.get('null_embedding')!;
  state.delete('null_embedding');
  const name = 'feature_pooling.attention.to_query.weight';
  state.set(name, await transposed(torch, unet, name));
  const value = new Map<string, unknown>([
    ['unet', state],
    ['null_embedding', torch.parameter(embedding)],
  ]);
  if (text !== undefined) {
    value.set('projections', await tensorsOf(torch, text, 'projections.'));
  }
  await torch.write(path, value);
}

async function writeMovq(path: string, movq: Checkpoint): Promise<void> {
  const torch = new TorchFile();
  const unused = torch.tensor(torch.storage('F32', new Uint8Array(16)), [4]);
  await torch.write(path, new Map([...(await tensorsOf(torch, movq)), ['quant_conv.bias', unused]]));
}

/** Two shards of the encoder, one of the decoder, and the table of tokens under both of its names. */
async function writeEncoder(folder: string, text: Checkpoint, format: EncoderFormat): Promise<void> {
  const names = [...text.tensors.keys()].filter((name) => !name.startsWith('projections.'));
  const half = Math.ceil(names.length / 2);
  const shards = [names.slice(0, half), names.slice(half)];
  const ending = format === 'safetensors' ? 'safetensors' : 'bin';
  const stem = format === 'safetensors' ? 'model' : 'pytorch_model';
  const map: Record<string, string> = { 'decoder.final_layer_norm.weight': `${stem}-00003-of-00003.${ending}` };
  for (const [i, shard] of shards.entries()) {
    const file = `${stem}-0000${i + 1}-of-00003.${ending}`;
    await (format === 'safetensors'
      ? copyTensors(join(folder, file), text, shard)
      : saveTensors(join(folder, file), text, shard));
    for (const name of shard) {
      map[name] = file;
    }
  }
  if (format === 'pytorch') {
    map['encoder.embed_tokens.weight'] = map['shared.weight']!;
  }
  await writeFile(join(folder, `${stem}.${ending}.index.json`), JSON.stringify({ metadata: {}, weight_map: map }));
}

async function copyTensors(path: string, from: Checkpoint, names: readonly string[]): Promise<void> {
  const tensors = new Map(names.map((name) => [name, from.tensors.get(name)!]));
  const bytes = new Map(
    await Promise.all(names.map(async (name) => [name, await readTensorBytes(from, name)] as const)),
  );
  await writeSafetensors(path, tensors, (name) => bytes.get(name)!);
}

async function saveTensors(path: string, from: Checkpoint, names: readonly string[]): Promise<void> {
  const torch = new TorchFile();
  const tensors = new Map<string, Call>();
  for (const name of names) {
    tensors.set(name, await tensorOf(torch, from, name));
  }
  if (tensors.has('shared.weight')) {
    tensors.set('encoder.embed_tokens.weight', tensors.get('shared.weight')!);
  }
  await torch.write(path, tensors);
}

export async function tensorsOf(torch: TorchFile, from: Checkpoint, prefix = ''): Promise<Map<string, Call>> {
  const tensors = new Map<string, Call>();
  for (const name of from.tensors.keys()) {
    if (name.startsWith(prefix)) {
      tensors.set(name.slice(prefix.length), await tensorOf(torch, from, name));
    }
  }
  return tensors;
}

async function tensorOf(torch: TorchFile, from: Checkpoint, name: string): Promise<Call> {
  const { shape } = from.tensors.get(name)!;
  return torch.tensor(torch.storage('F32', await readTensorBytes(from, name)), shape);
}

/** The same values, stored column after column. */
async function transposed(torch: TorchFile, from: Checkpoint, name: string): Promise<Call> {
  const { dataType, shape } = from.tensors.get(name)!;
  const [rows, columns] = shape as [number, number];
  const values = new Float32Array((await readTensorBytes(from, name)).buffer);
  const turned = Float32Array.from(values, (_, i) => values[(i % rows) * columns + Math.floor(i / rows)]!);
  const storage = torch.storage('F32', new Uint8Array(turned.buffer, 0, byteLength(dataType, shape)));
  return torch.tensor(storage, shape, { strides: [1, rows] });
}
