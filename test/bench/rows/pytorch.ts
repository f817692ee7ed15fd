import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { packageRoot } from '../../../services/kit/package-root.ts';
import { Scope } from '../../../services/kit/scope.ts';
import { temporaryFolder } from '../../../services/kit/testing/temporary-folder.ts';
import { loadPreset, modelNames, type Preset, presetPath } from '../../../services/pipeline/preset.ts';
import { ensureRepository } from '../../../triton-models/packaging/ensure-repository.ts';
import { ModelSession } from '../../../triton-models/session/model-session.ts';
import type { Bench } from '../bench.ts';
import { type Figure, type Measured, median } from '../figure.ts';
import { keyframeInputs } from './keyframe-inputs.ts';

/** {@link loadPreset} of a wider keyframe network with random weights. */
export const widePreset = join(packageRoot, 'test', 'bench', 'presets', 'wide.json');

/** A guided step of the keyframe networks on ONNX Runtime and on PyTorch, one thread each, in turn. */
export async function measurePytorch(bench: Bench): Promise<Measured> {
  const networks = [
    { what: "nano's", preset: bench.preset, goal: 0.45 },
    { what: '64 channels, 3 levels', preset: loadPreset(widePreset), goal: 0.5 },
  ];
  const figures: Figure[] = [];
  for (const { what, preset, goal } of networks) {
    const scope = new Scope();
    try {
      const pytorch = await startPytorch(bench, preset, scope);
      if (pytorch === undefined) {
        return { skipped: `${bench.options.python} cannot run it; --python names a Python with PyTorch` };
      }
      const ours = await openOurs(bench, preset, scope);
      const ratios: number[] = [];
      const seconds: [number, number][] = [];
      for (let round = 1; round <= 2 * bench.options.rounds; round++) {
        bench.progress(`${what}: pair ${round} of ${2 * bench.options.rounds}`);
        seconds.push([await ours(), await pytorch.call()]);
        ratios.push(seconds.at(-1)![0] / seconds.at(-1)![1]);
      }
      figures.push({
        what: `keyframe U-Net, ${what}: a guided step ÷ the same on PyTorch`,
        value: median(ratios),
        goal: { most: goal },
        parts: {
          'ONNX Runtime, s': median(seconds.map(([left]) => left)),
          'PyTorch, s': median(seconds.map(([, right]) => right)),
        },
        note: `PyTorch ${pytorch.version}, the training code, one thread each`,
      });
    } finally {
      await scope.close();
    }
  }
  return { figures };
}

async function openOurs(bench: Bench, preset: Preset, scope: Scope): Promise<() => Promise<number>> {
  const folder =
    preset.name === bench.preset.name
      ? await bench.repository()
      : (await ensureRepository(preset, { folder: temporaryFolder(scope) })).folder;
  const session = scope.add(
    await ModelSession.open(join(folder, modelNames.keyframes, '1', 'model.onnx'), { threads: 1 }),
  );
  const inputs = keyframeInputs(preset);
  const call = async () => {
    await session.run(inputs);
    return session.lastRunMilliseconds / 1000;
  };
  await call();
  return call;
}

/** undefined: this Python has no PyTorch. */
async function startPytorch(bench: Bench, preset: Preset, scope: Scope) {
  const { shape } = keyframeInputs(preset).latents!;
  const child = spawn(
    bench.options.python,
    [
      join(packageRoot, 'test', 'bench', 'rows', 'keyframe_unet.py'),
      join(packageRoot, 'triton-models'),
      JSON.stringify(preset.keyframes.network),
      preset.name === bench.preset.name ? presetPath(preset, preset.weights.keyframes as string) : 'random',
      String(preset.keyframes.frames),
      String(preset.textEncoder.contextTokens),
      String(shape[3]),
      String(shape[4]),
    ],
    { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, OMP_NUM_THREADS: '1' } },
  );
  scope.defer(() => child.kill());
  const ended = once(child, 'close').then(
    () => undefined,
    () => undefined,
  );
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const first = await Promise.race([lines.next(), ended]);
  if (!first || first.done) {
    return undefined;
  }
  return {
    version: first.value.split(' ')[1],
    async call() {
      child.stdin.write('\n');
      return Number((await lines.next()).value);
    },
  };
}
