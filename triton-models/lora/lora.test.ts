import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfEachTest } from '../../services/kit/testing/test-scope.ts';
import { toFloat16 } from '../../services/pipeline/half-floats.ts';
import { readSafetensors } from '../checkpoints/safetensors.ts';
import { fitLora, type LoraTarget } from './fit-lora.ts';
import { mergeLoras } from './merge-loras.ts';
import { readLora } from './read-lora.ts';
import { readMatrix } from './read-matrix.ts';

const scope = scopeOfEachTest();
let folder: string;
beforeEach(() => {
  folder = temporaryFolder(scope);
});

type Tensors = Record<string, { shape: readonly number[]; values: readonly number[]; dtype?: keyof typeof arraysOf }>;

const arraysOf = {
  F64: (values: readonly number[]) => Float64Array.from(values),
  F32: (values: readonly number[]) => Float32Array.from(values),
  F16: (values: readonly number[]) => toFloat16(Float32Array.from(values)),
  I64: (values: readonly number[]) => BigInt64Array.from(values, BigInt),
  I32: (values: readonly number[]) => Int32Array.from(values),
};

async function write(name: string, tensors: Tensors, metadata?: Record<string, string>): Promise<string> {
  const path = join(folder, name);
  await mkdir(dirname(path), { recursive: true });
  const header: Record<string, unknown> = metadata ? { __metadata__: metadata } : {};
  const data: Buffer[] = [];
  let position = 0;
  for (const [tensor, { shape, values, dtype = 'F32' }] of Object.entries(tensors)) {
    const bytes = Buffer.from(arraysOf[dtype](values).slice().buffer);
    header[tensor] = { dtype, shape, data_offsets: [position, position + bytes.length] };
    position += bytes.length;
    data.push(bytes);
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  await writeFile(path, Buffer.concat([length, text, ...data]));
  return path;
}

const wave = (...shape: number[]) => {
  const count = shape.reduce((product, size) => product * size, 1);
  return { shape, values: Array.from({ length: count }, (_, i) => Math.fround(Math.sin(1 + count + 2.3 * i))) };
};

/** Two linear layers and two convolutions of a network. */
const network: Tensors = {
  'blocks.0.attention.to_query.weight': wave(3, 4),
  'blocks.0.attention.to_query.bias': wave(3),
  'blocks.0.attention.output_layer.weight': wave(4, 3),
  'blocks.1.projection.weight': wave(2, 3, 3, 3),
  'blocks.1.temporal_projection.weight': wave(2, 2, 3, 1, 1),
};
const target = (model: string, tensors: Tensors = network, weights = model): LoraTarget => ({
  model,
  weights,
  shapes: new Map(Object.entries(tensors).map(([name, { shape }]) => [name, shape])),
});

/** The changed weights. */
async function merge(
  files: readonly (readonly [path: string, scale: number])[],
  base: Tensors = network,
): Promise<Record<string, readonly number[]>> {
  const checkpoint = await readSafetensors(await write('base.safetensors', base));
  const changes = [];
  for (const [path, scale] of files) {
    const { fitted } = fitLora(await readLora(path), [target('unet', base)]);
    changes.push(...fitted.get('unet')!.map((each) => ({ ...each, scale })));
  }
  const merged = await mergeLoras(checkpoint, changes, join(folder, 'merged.safetensors'));
  const changed = [...merged.tensors].filter(([, { file }]) => file !== checkpoint.path);
  return Object.fromEntries(
    await Promise.all(changed.map(async ([name, stored]) => [name, [...(await readMatrix(stored))]] as const)),
  );
}

/** W + strength · up · down, with a kernel's elements as further columns of down. */
function sum(
  base: readonly number[],
  up: readonly number[],
  down: readonly number[],
  rank: number,
  strength: number,
): number[] {
  const columns = down.length / rank;
  return base.map((value, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    let product = 0;
    for (let a = 0; a < rank; a++) {
      product += up[row * rank + a]! * down[a * columns + column]!;
    }
    return Math.fround(value + strength * product);
  });
}

const query = 'blocks.0.attention.to_query';
const [down, up] = [wave(2, 4), wave(3, 2)];
const expected = (strength: number) => sum(network[`${query}.weight`]!.values, up.values, down.values, 2, strength);

test.each([
  ['peft', `base_model.model.${query}.lora_A.weight`, `base_model.model.${query}.lora_B.weight`],
  ["peft's state in memory", `${query}.lora_A.default.weight`, `${query}.lora_B.default.weight`],
  ['diffusers', `unet.${query}.lora_A.weight`, `unet.${query}.lora_B.weight`],
  ['older diffusers', `unet.${query}.lora.down.weight`, `unet.${query}.lora.up.weight`],
  [
    "diffusers' processors",
    'blocks.0.attention.processor.to_query_lora.down.weight',
    'blocks.0.attention.processor.to_query_lora.up.weight',
  ],
  [
    'older text encoders',
    `text_encoder.${query}.lora_linear_layer.down.weight`,
    `text_encoder.${query}.lora_linear_layer.up.weight`,
  ],
  [
    'kohya',
    'lora_unet_blocks_0_attention_to_query.lora_down.weight',
    'lora_unet_blocks_0_attention_to_query.lora_up.weight',
  ],
  ['a wrapped network', `module._orig_mod.${query}.lora_down.weight`, `module._orig_mod.${query}.lora_up.weight`],
])('names of %s', async (_, downName, upName) => {
  const path = await write('style.safetensors', { [downName]: down, [upName]: up });
  expect(await merge([[path, 0.5]])).toEqual({ [`${query}.weight`]: expected(0.5) });
});

describe('alpha', () => {
  const peft = { [`${query}.lora_A.weight`]: down, [`${query}.lora_B.weight`]: up };

  test.each(['F16', 'F32', 'F64', 'I64', 'I32'] as const)('among the tensors, like kohya, in %s', async (dtype) => {
    const path = await write('style.safetensors', {
      [`${query}.lora_down.weight`]: down,
      [`${query}.lora_up.weight`]: up,
      [`${query}.alpha`]: { shape: [], values: [1], dtype },
    });
    expect(await merge([[path, 3]])).toEqual({ [`${query}.weight`]: expected(1.5) });
  });

  test.each([
    [{ r: 2, lora_alpha: 8 }, 4],
    [{ r: 2, lora_alpha: 8, use_rslora: true }, 8 / Math.SQRT2],
    [{ r: 2, lora_alpha: 8, alpha_pattern: { to_query: 1 } }, 0.5],
  ])("in peft's folder: %j", async (config, strength) => {
    await write('adapter/adapter_model.safetensors', peft);
    await writeFile(join(folder, 'adapter', 'adapter_config.json'), JSON.stringify(config));
    expect(await merge([[join(folder, 'adapter'), 1]])).toEqual({ [`${query}.weight`]: expected(strength) });
  });

  test("not in peft's file of another adapter, which may be invalid", async () => {
    const names = { [`${query}.lora_down.weight`]: down, [`${query}.lora_up.weight`]: up };
    const path = await write('together/style.safetensors', names);
    await writeFile(join(folder, 'together', 'adapter_config.json'), JSON.stringify({ r: 9, use_dora: true }));
    expect(await merge([[path, 1]])).toEqual({ [`${query}.weight`]: expected(1) });
  });

  test("in diffusers' metadata", async () => {
    const named = Object.fromEntries(Object.entries(peft).map(([name, value]) => [`unet.${name}`, value]));
    const metadata = { lora_adapter_metadata: JSON.stringify({ 'unet.r': 2, 'unet.lora_alpha': 1 }) };
    expect(await merge([[await write('style.safetensors', named, metadata), 1]])).toEqual({
      [`${query}.weight`]: expected(0.5),
    });
  });

  test('nowhere: the rank is taken, and that is said', async () => {
    expect((await readLora(await write('style.safetensors', peft))).notes).toEqual([
      'it has no alpha, so that its rank is taken for it',
    ]);
  });
});

describe('convolutions', () => {
  const weight = 'blocks.1.projection.weight';

  test('3×3 with a 1×1 up, and 3×1×1 over time', async () => {
    const over = 'blocks.1.temporal_projection';
    const [space, time] = [wave(2, 3, 3, 3), wave(1, 2, 3, 1, 1)];
    const path = await write('style.safetensors', {
      'blocks.1.projection.lora_A.weight': space,
      'blocks.1.projection.lora_B.weight': wave(2, 2, 1, 1),
      [`${over}.lora_A.weight`]: time,
      [`${over}.lora_B.weight`]: wave(2, 1, 1, 1, 1),
    });
    expect(await merge([[path, 1]])).toEqual({
      [weight]: sum(network[weight]!.values, wave(2, 2).values, space.values, 2, 1),
      [`${over}.weight`]: sum(network[`${over}.weight`]!.values, wave(2, 1).values, time.values, 1, 1),
    });
  });

  test('in Tucker form, with a kernel of its own between up and down', async () => {
    const [inner, core] = [wave(2, 3, 1, 1), wave(2, 2, 3, 3)];
    const path = await write('style.safetensors', {
      'lora_unet_blocks_1_projection.lora_down.weight': inner,
      'lora_unet_blocks_1_projection.lora_mid.weight': core,
      'lora_unet_blocks_1_projection.lora_up.weight': wave(2, 2, 1, 1),
    });
    const rows = Array.from({ length: 2 * 3 * 9 }, (_, i) => {
      const [a, channel, k] = [Math.floor(i / 27), Math.floor(i / 9) % 3, i % 9];
      return [0, 1].reduce((total, b) => total + core.values[(a * 2 + b) * 9 + k]! * inner.values[b * 3 + channel]!, 0);
    });
    const [changed] = Object.values(await merge([[path, 1]]));
    const exact = sum(network[weight]!.values, wave(2, 2).values, rows, 2, 1);
    expect(changed!.map((value, i) => Math.abs(value - exact[i]!) < 1e-6)).not.toContain(false);
  });
});

test('several at once, into half precision, rounded once from the exact sum', async () => {
  const half: Tensors = { ...network, [`${query}.weight`]: { ...wave(3, 4), dtype: 'F16' } };
  const names = { [`${query}.lora_A.weight`]: down, [`${query}.lora_B.weight`]: up };
  const path = await write('style.safetensors', names);
  const both = await merge(
    [
      [path, 0.25],
      [path, 0.5],
    ],
    half,
  );
  const one = await merge([[path, 0.75]], half);
  const [[changed], [exact]] = [Object.values(both), Object.values(one)];
  expect(changed!.map((value, i) => Math.abs(value - exact![i]!) < 1e-6)).not.toContain(false);
  expect(changed).not.toEqual([...Float32Array.from(half[`${query}.weight`]!.values)]);
});

describe('fitting', () => {
  const layers = (...names: string[]): Tensors =>
    Object.fromEntries(
      names.flatMap((name) => [
        [`${name}.lora_A.weight`, wave(2, 4)],
        [`${name}.lora_B.weight`, wave(3, 2)],
      ]),
    );
  const place = async (tensors: Tensors, targets: LoraTarget[], only?: string) =>
    fitLora(await readLora(await write('style.safetensors', tensors)), targets, only);

  test('layers and tensors that match nothing are listed', async () => {
    const { fitted, unmatched } = await place(layers(query, 'elsewhere.to_query'), [target('unet')]);
    expect(fitted.get('unet')).toMatchObject([{ parameter: `${query}.weight` }]);
    expect(unmatched).toEqual(['elsewhere.to_query']);
    const others = await write('more.safetensors', { ...layers(query), 'norm.weight': wave(3) });
    expect((await readLora(others)).others).toEqual(['norm.weight']);
  });

  test('models of the same weights are changed together', async () => {
    const { fitted } = await place(layers(query), [target('unet', network, 'a'), target('picture', network, 'a')]);
    expect([...fitted.keys()]).toEqual(['unet', 'picture']);
  });

  test('of two networks that have a layer, the one with more of the others, or the one that is named', async () => {
    const wide = { ...network, 'blocks.2.to_query.weight': wave(3, 4) };
    const targets = [target('keyframes'), target('interpolation', wide)];
    const { fitted } = await place(layers(query, 'blocks.2.to_query'), targets);
    expect([...fitted.keys()]).toEqual(['interpolation']);
    await expect(place(layers(query), targets)).rejects.toThrow(
      'lora: style.safetensors fits keyframes as well as interpolation: name one, as in keyframes=style.safetensors',
    );
    expect([...(await place(layers(query), targets, 'interpolation')).fitted.keys()]).toEqual(['interpolation']);
  });

  test('one of another network is refused, naming sizes and names', async () => {
    await expect(place(layers('blocks.0.attention.output_layer'), [target('unet')])).rejects.toThrow(
      'lora: style.safetensors belongs to another network: 0 of its 1 layers fit\n  `blocks.0.attention.output_layer` changes ' +
        'a weight of [3,4]; that of unet is [4,3]',
    );
    await expect(place(layers('down_blocks.0.attn1.to_q', 'mid.to_q', query), [target('unet')])).rejects.toThrow(
      /1 of its 3 layers fit\n {2}`down_blocks\.0\.attn1\.to_q` is in no network;\n {2}`mid\.to_q` is in no network$/,
    );
  });
});

describe('files that are refused', () => {
  const parts = { [`${query}.lora_A.weight`]: down, [`${query}.lora_B.weight`]: up };
  test.each<[string, Tensors, string]>([
    ['DoRA', { ...parts, [`${query}.dora_scale`]: wave(3, 1) }, 'belongs to DoRA, which cannot be merged'],
    ['LoHa', { [`${query}.hada_w1_a`]: wave(2, 2) }, 'belongs to LoHa, which cannot be merged'],
    ['a half', { [`${query}.lora_A.weight`]: down }, `is incomplete: \`${query}\` lacks its up matrix`],
    [
      'not finite',
      { ...parts, [`${query}.lora_B.weight`]: { shape: [3, 2], values: [1, 2, Number.NaN, 0, 0, 0] } },
      `must have finite numbers: element 2 of \`${query}.lora_B.weight\` is NaN`,
    ],
    [
      'two alphas',
      { ...parts, [`${query}.alpha`]: { shape: [2], values: [1, 2] } },
      `must have one finite number as alpha of \`${query}\` (got F32 of shape [2])`,
    ],
    [
      'alpha NaN',
      { ...parts, [`${query}.alpha`]: { shape: [], values: [Number.NaN] } },
      `must have one finite number as alpha of \`${query}\` (got NaN)`,
    ],
    ['a network', network, 'is not a LoRA: no name ends in lora_A.weight'],
    ['twice', { ...parts, [`${query}.lora_A.second.weight`]: down }, 'has two adapters'],
    ['flat', { [`${query}.lora_A.weight`]: wave(4), [`${query}.lora_B.weight`]: up }, 'fewer than two axes'],
  ])('%s', async (_, tensors, fault) => {
    await expect(readLora(await write('style.safetensors', tensors))).rejects.toThrow(fault);
  });

  test('a missing file, another format, settings that cannot be', async () => {
    await expect(readLora(join(folder, 'style.safetensors'))).rejects.toThrow(
      /^lora: file .*style\.safetensors not found$/,
    );
    await writeFile(join(folder, 'text'), 'not a LoRA file');
    await expect(readLora(join(folder, 'text'))).rejects.toThrow(/^lora: .*text is not a valid safetensors file/);
    await writeFile(join(folder, 'adapter_config.json'), JSON.stringify({ r: 2, lora_alpha: 'much', use_dora: true }));
    await expect(readLora(await write('style.safetensors', parts))).rejects.toThrow(
      /style\.safetensors cannot be scaled: adapter_config\.json: `lora_alpha` must be a number \(got "much"\); `use_dora` must be false: DoRA/,
    );
  });
});
