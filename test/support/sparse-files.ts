import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { modelNames, type Preset } from '../../services/pipeline/preset.ts';
import { byteLength, type ElementType } from '../../services/pipeline/safetensors/element-types.ts';
import type { Call } from '../../triton-models/checkpoints/testing/pickle-writer.ts';
import { TorchFile } from '../../triton-models/checkpoints/testing/torch-file.ts';
import { parametersOf } from '../../triton-models/networks/preset-networks.ts';
import { servedModels } from '../../triton-models/packaging/served-models.ts';
import { presetSources } from '../../triton-models/sources/preset-sources.ts';

type Shapes = ReadonlyMap<string, readonly number[]>;

/**
 * Writes the published files of a preset (Kandinsky Video's and Flan-UL2's) at their full size, every parameter zero and none of
 * them taking room on the disk: float16, Flan-UL2 in four shards of bfloat16. The matrices of these names lie transposed.
 */
export async function writeSparseFiles(preset: Preset, folder: string, transposed: readonly string[]): Promise<void> {
  await mkdir(join(folder, 'flan-ul2'), { recursive: true });
  const text = shapesOf(preset, modelNames.textEncoder);
  const projections = select(text, (name) => name.startsWith('projections.'));
  const [keyframes, interpolation] = [modelNames.keyframes, modelNames.interpolation].map((name) =>
    shapesOf(preset, name),
  );
  await writeUNet(join(folder, 'kandinsky_video.pt'), keyframes!, transposed, projections);
  await writeUNet(join(folder, 'kandinsky_video_interpolation.pt'), interpolation!, transposed);
  await writeSparseDecoder(preset, folder);
  const encoder = [...select(text, (name) => !name.startsWith('projections.'))];
  await writeShards(join(folder, 'flan-ul2'), encoder);
}

/** Writes the decoder's file alone, in float32. */
export async function writeSparseDecoder(preset: Preset, folder: string): Promise<void> {
  const torch = new TorchFile();
  const { checkpoint } = presetSources(preset)!.models[modelNames.decoder]![0]!;
  await torch.write(join(folder, checkpoint), tensors(torch, shapesOf(preset, modelNames.decoder), 'F32', []));
}

function shapesOf(preset: Preset, name: string): Shapes {
  return parametersOf(servedModels(preset).find((model) => model.name === name)!).shapes;
}

async function writeUNet(
  path: string,
  shapes: Shapes,
  transposed: readonly string[],
  projections: Shapes = new Map(),
): Promise<void> {
  const torch = new TorchFile();
  const unet = tensors(torch, shapes, 'F16', transposed);
  const embedding = unet.get('null_embedding')!;
  unet.delete('null_embedding');
  const value = new Map<string, unknown>([
    ['unet', unet],
    ['null_embedding', torch.parameter(embedding)],
  ]);
  if (projections.size > 0) {
    const state = tensors(torch, projections, 'F16', []);
    value.set('projections', new Map([...state].map(([name, tensor]) => [name.replace('projections.', ''), tensor])));
  }
  await torch.write(path, value);
}

async function writeShards(folder: string, encoder: readonly (readonly [string, readonly number[]])[]): Promise<void> {
  const map: Record<string, string> = {};
  const length = Math.ceil(encoder.length / 4);
  for (let i = 0; i < 4; i++) {
    const file = `pytorch_model-0000${i + 1}-of-00004.bin`;
    const torch = new TorchFile();
    const shard = tensors(torch, new Map(encoder.slice(i * length, (i + 1) * length)), 'BF16', []);
    await torch.write(join(folder, file), shard);
    for (const name of shard.keys()) {
      map[name] = file;
    }
  }
  await writeFile(join(folder, 'pytorch_model.bin.index.json'), JSON.stringify({ weight_map: map }));
}

function tensors(
  torch: TorchFile,
  shapes: Shapes,
  dataType: ElementType,
  transposed: readonly string[],
): Map<string, Call> {
  const entries = [...shapes].map(([name, shape]) => {
    const storage = torch.storage(dataType, { zeros: byteLength(dataType, shape) });
    const view = transposed.includes(name) ? { strides: [1, shape[0]!] } : {};
    return [name, torch.tensor(storage, shape, view)] as const;
  });
  return new Map(entries);
}

function select(shapes: Shapes, wants: (name: string) => boolean): Shapes {
  return new Map([...shapes].filter(([name]) => wants(name)));
}
