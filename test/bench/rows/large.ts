import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Scope } from '../../../services/kit/scope.ts';
import { temporaryFolder } from '../../../services/kit/testing/temporary-folder.ts';
import { loadPreset, modelNames, type Preset } from '../../../services/pipeline/preset.ts';
import { TritonClient } from '../../../services/triton/triton-client.ts';
import { writeRandomWeights } from '../../../triton-models/checkpoints/random-weights.ts';
import { readSafetensors } from '../../../triton-models/checkpoints/safetensors.ts';
import { parametersOf } from '../../../triton-models/networks/preset-networks.ts';
import { ensureModels } from '../../../triton-models/packaging/ensure-repository.ts';
import { placeWeights, weightsFile } from '../../../triton-models/packaging/place-weights.ts';
import { servedModels } from '../../../triton-models/packaging/served-models.ts';
import { startService } from '../../support/cli.ts';
import type { Bench } from '../bench.ts';
import type { Figure, Measured } from '../figure.ts';
import { residentMebibytes } from '../resident-memory.ts';
import { keyframeInputs } from './keyframe-inputs.ts';
import { widePreset } from './pytorch.ts';

/** Three times as wide as the preset: 207 million parameters. */
const channels = 192;
const calls = 3;

/** Memory of `serve inference` with a keyframe network of 0.8 GB, whose size makes the program's own negligible, against its weights. */
export async function measureLarge(bench: Bench): Promise<Measured> {
  const figures: Figure[] = [];
  for (const stored of ['F32', 'F16'] as const) {
    bench.progress(`weights stored as ${stored}`);
    figures.push(await measure(stored));
  }
  return { figures };
}

async function measure(stored: 'F32' | 'F16'): Promise<Figure> {
  const scope = new Scope();
  try {
    const folder = temporaryFolder(scope);
    const { preset, count } = await buildRepository(folder, stored);
    const service = scope.add(await startService('inference', { FUSIONFRAMES_MODEL_REPOSITORY: folder }));
    const loaded = await residentMebibytes(service.child.pid);
    const client = scope.add(new TritonClient({ address: service.address, requestTimeoutSeconds: 600 }));
    for (let call = 0; call < calls; call++) {
      await client.infer({ model: modelNames.keyframes, inputs: keyframeInputs(preset), signal: scope.signal });
    }
    const resident = await residentMebibytes(service.child.pid);
    const weights = (4 * count) / 2 ** 20;
    const millions = Math.round(count / 1e6);
    return {
      what: `resident memory of \`serve inference\` ÷ weights in float32, ${millions} million parameters stored as ${stored}`,
      value: resident / weights,
      goal: { most: 1.5 },
      parts: { 'weights, MiB': weights, 'loaded, MiB': loaded, [`after ${calls} calls, MiB`]: resident },
    };
  } finally {
    await scope.close();
  }
}

/** Builds the network with random weights into a folder. */
async function buildRepository(folder: string, stored: 'F32' | 'F16') {
  const checkpoints = join(folder, '.checkpoints');
  const single = join(checkpoints, 'single.safetensors');
  const half = join(checkpoints, weightsFile);
  const wide = loadPreset(widePreset);
  const preset: Preset = {
    ...wide,
    keyframes: {
      ...wide.keyframes,
      network: {
        ...wide.keyframes.network,
        model_channels: channels,
        init_channels: channels,
        time_embed_dim: 4 * channels,
      },
    },
    weights: { ...wide.weights, keyframes: stored === 'F32' ? single : half },
  };
  const models = servedModels(preset).filter(({ name }) => name === modelNames.keyframes);
  const { shapes, count } = parametersOf(models[0]!);
  await mkdir(checkpoints);
  await writeRandomWeights(single, shapes, 1);
  if (stored === 'F16') {
    const wanted = new Map([...shapes.keys()].map((name) => [name, stored]));
    await placeWeights(await readSafetensors(single), shapes.keys(), checkpoints, { wanted });
  }
  await ensureModels(preset.name, models, { folder, link: true });
  return { preset, count };
}
