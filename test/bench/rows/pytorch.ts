import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { packageRoot } from '../../../services/kit/package-root.ts';
import { Scope } from '../../../services/kit/scope.ts';
import { temporaryFolder } from '../../../services/kit/testing/temporary-folder.ts';
import { loadPreset, modelNames, type Preset, presetPath } from '../../../services/pipeline/preset.ts';
import { elementCount, type Tensor } from '../../../services/pipeline/tensor.ts';
import { networkCalls } from '../../../triton-models/describe/network-calls.ts';
import { ensureRepository } from '../../../triton-models/packaging/ensure-repository.ts';
import { ModelSession } from '../../../triton-models/session/model-session.ts';
import type { Bench } from '../bench.ts';
import { type Figure, type Measured, median } from '../figure.ts';

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
  const { feeds } = keyframesCall(preset);
  const inputs = Object.entries(feeds).map(([name, { type, shape }]): [string, Tensor] => {
    const length = elementCount(shape);
    // Random, because zeros would be normalised to the slowest of numbers.
    const data = type === 'bool' ? new Uint8Array(length).fill(1) : Float32Array.from({ length }, () => Math.random());
    return [name, { dataType: type, shape, data } as Tensor];
  });
  const call = async () => {
    await session.run(Object.fromEntries(inputs));
    return session.lastRunMilliseconds / 1000;
  };
  await call();
  return call;
}

/** undefined: this Python has no PyTorch. */
async function startPytorch(bench: Bench, preset: Preset, scope: Scope) {
  const { shape } = keyframesCall(preset).feeds.latents!;
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

function keyframesCall(preset: Preset) {
  const video = { ...preset.frameSize.default, frameRate: 'low' as const };
  return networkCalls(preset, video).find(({ model }) => model === modelNames.keyframes)!;
}
