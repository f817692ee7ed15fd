/*
 * Compares the two interpolation designs at equal frames and steps: nano's groups of three and masked frames on the same
 * trunk, 15 keyframes to 225 frames. Prints a table in Markdown.
 */
import { cpus } from 'node:os';
import { InterpolationServiceDefinition } from '../../../proto/gen/fusionframes/v1/interpolation.ts';
import { Sampler } from '../../../proto/gen/fusionframes/v1/tensor.ts';
import { normalNoise } from '../../../services/diffusion/noise.ts';
import { interpolationStage } from '../../../services/interpolation/interpolation-stage.ts';
import { connect } from '../../../services/kit/channel.ts';
import { Scope } from '../../../services/kit/scope.ts';
import { loadPreset, modelNames } from '../../../services/pipeline/preset.ts';
import { type Tensor, tensor } from '../../../services/pipeline/tensor.ts';
import { describeVideo } from '../../../triton-models/describe/describe-preset.ts';
import { startBackend } from '../../support/backend.ts';
import { interpolate } from '../../support/interpolate.ts';

const rounds = Number(process.argv[2] ?? 5);
const designs = { 'groups of three': 'nano', 'masked frames': 'nano-masked-frames' };

const scope = new Scope();
const runs = await Promise.all(Object.entries(designs).map(([design, name]) => openRun(design, name)));
try {
  for (let round = 0; round <= rounds; round++) {
    process.stderr.write(round === 0 ? 'warming up\n' : `round ${round} of ${rounds}\n`);
    // In turn, so that what else the machine does meets both.
    for (const run of runs) {
      const seconds = await run.measure();
      if (round > 0) {
        run.seconds.push(seconds);
      }
    }
  }
} finally {
  await scope.close();
}
const [ours, baseline] = runs as [Run, Run];
const ratios = ours.seconds.map((seconds, round) => baseline.seconds[round]! / seconds);
process.stdout.write(
  `${cpus()[0]!.model}, ${cpus().length} cores, ${rounds} rounds in turn, 225 frames of 128×128, 1 step a pass\n\n` +
    '| | network calls | arithmetic | seconds (median, range) |\n|---|---|---|---|\n' +
    runs.map(rowOf).join('') +
    `| ratio | ${(baseline.calls / ours.calls).toFixed(1)} | ${(baseline.flops / ours.flops).toFixed(2)} | ` +
    `${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}) |\n`,
);

interface Run {
  design: string;
  calls: number;
  flops: number;
  seconds: number[];
  measure(): Promise<number>;
}

async function openRun(design: string, name: string): Promise<Run> {
  const preset = loadPreset(name);
  const { width, height } = preset.frameSize.default;
  const described = describeVideo(preset, { width, height, frameRate: 'high' }).calls.filter(
    ({ network }) => network === modelNames.interpolation,
  );
  const backend = await startBackend(preset);
  scope.add({ close: () => backend.stop() });
  const { client } = scope.add(connect(InterpolationServiceDefinition, await backend.start(interpolationStage)));
  const shape = [preset.keyframes.frames, 4, height / 8, width / 8];
  const length = shape.reduce((product, size) => product * size, 1);
  const keyframes = tensor('float32', shape, normalNoise({ seed: 3n, purpose: 99, draw: 0 }, 0, length));
  const sampling = { sampler: Sampler.SAMPLER_UNSPECIFIED, steps: 1, guidanceScale: 0 };
  return {
    design,
    calls: described.reduce((sum, { times }) => sum + times, 0),
    flops: described.reduce((sum, { times, flops }) => sum + times * flops, 0),
    seconds: [],
    async measure() {
      const started = performance.now();
      let frames: Tensor<'float32'> = keyframes;
      for (const pass of [0, 1]) {
        frames = await interpolate(client, frames, { pass, sampling });
      }
      return (performance.now() - started) / 1000;
    },
  };
}

function rowOf({ design, calls, flops, seconds }: Run): string {
  const range = `${Math.min(...seconds).toFixed(2)}–${Math.max(...seconds).toFixed(2)}`;
  return `| ${design} | ${calls} | ${(flops / 1e9).toFixed(1)} GFLOP | ${median(seconds).toFixed(2)} (${range}) |\n`;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
