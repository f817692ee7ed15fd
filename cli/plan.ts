import { Command } from 'commander';
import { invalidField } from '../services/kit/errors.ts';
import { formatTable } from '../services/kit/table.ts';
import {
  type FrameRateName,
  frameCount,
  frameRateNames,
  loadPreset,
  type Preset,
} from '../services/pipeline/preset.ts';
import type { VideoShape } from '../triton-models/describe/network-calls.ts';
import { type CapacityPlan, findReplicas, settled } from './capacity/find-replicas.ts';
import { readMeasurements } from './capacity/measurements.ts';
import { percentile, simulate } from './capacity/simulate.ts';
import { assumedReadRate, estimateLoad, measuredLoad, type StageLoad } from './capacity/stage-load.ts';
import { formatSeconds } from './units.ts';
import { choiceFlag, parseSize } from './video-options.ts';

interface PlanOptions {
  rate: string;
  preset: string;
  fps?: FrameRateName;
  size?: string;
  p95?: string;
  measured?: string;
  teraflops: string;
  json?: true;
}

export function planCommand(): Command {
  return new Command('plan')
    .description('Compute how many backends each stage needs for a rate of videos, by simulating the queues.')
    .requiredOption('--rate <videos/hour>', 'mean arrival rate, videos per hour')
    .option('--preset <name>', "name of a preset, or the path of a preset's .json file", 'nano')
    .addOption(choiceFlag('--fps <rate>', "frames of the videos (default: the preset's)", frameRateNames))
    .option('--size <WxH>', "size of the videos (default: the preset's)")
    .option('--p95 <seconds>', 'latency for 95 % of the videos (default: twice that of a single video)')
    .option('--measured <file>', 'service times written by `models measure`')
    .option('--teraflops <n>', 'without measurements: sustained 10^12 operations a second of a GPU', '200')
    .option('--json', 'print one JSON object')
    .action(plan);
}

async function plan(options: PlanOptions): Promise<void> {
  const preset = loadPreset(options.preset);
  const perHour = parsePositive('--rate', options.rate);
  const p95 = options.p95 === undefined ? undefined : parsePositive('--p95', options.p95);
  const video = {
    ...(options.size === undefined ? preset.frameSize.default : parseSize(options.size)),
    frameRate: options.fps ?? preset.defaultFrameRate,
  };
  const stages = await loadOf(preset, video, options);
  const found = findReplicas(stages, perHour / 3600, p95);
  const facts = summarize(stages, found, perHour / 3600);
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ preset: preset.name, ...video, videosPerHour: perHour, ...facts })}\n`);
    return;
  }
  const { width, height, frameRate } = video;
  process.stdout.write(
    [
      `${perHour} videos an hour of ${preset.name}: ${width}×${height}, ${frameCount(preset, frameRate)} frames; ${basis(options)}.\n`,
      stagesTable(facts.stages),
      `Backends in all: ${facts.backends}. Bottleneck: ${facts.bottleneck}.\n` +
        `Latency: half of the videos within ${formatSeconds(facts.p50Seconds)}, 95 % within ${formatSeconds(facts.p95Seconds)}; alone ${formatSeconds(facts.aloneSeconds)}.\n` +
        `Videos in progress at once: at most ${facts.inProgress} for 99 % of the time. FUSIONFRAMES_CONCURRENT_JOBS times the gateway's replicas must be at least that.\n` +
        coldStartText(facts),
    ].join('\n'),
  );
}

async function loadOf(preset: Preset, video: VideoShape, options: PlanOptions): Promise<StageLoad[]> {
  if (options.measured !== undefined) {
    return measuredLoad(preset, video, await readMeasurements(options.measured));
  }
  return estimateLoad(preset, video, parsePositive('--teraflops', options.teraflops) * 1e12);
}

function basis({ measured, teraflops }: PlanOptions): string {
  return measured === undefined
    ? `not measured: service times computed for ${teraflops} TFLOP/s a GPU, starts for weights read at ${assumedReadRate / 1e9} GB/s`
    : `service times of ${measured}`;
}

function summarize(stages: readonly StageLoad[], { replicas, result, alone }: CapacityPlan, perSecond: number) {
  const latencies = settled(result.latencies);
  const usual = percentile(latencies, 0.95);
  const utilizations = result.stages.map(({ utilization }) => utilization);
  return {
    stages: stages.map(({ stage, startSeconds }, index) => {
      const { utilization, seconds, waits, busySeconds, items, batches } = result.stages[index]!;
      return {
        stage,
        replicas: replicas[index]!,
        utilization,
        aloneSeconds: alone[index]!,
        p50Seconds: percentile(settled(seconds), 0.5),
        p95Seconds: percentile(settled(seconds), 0.95),
        p95WaitSeconds: percentile(settled(waits), 0.95),
        itemsOfBatch: items / batches,
        backendSecondsOfVideo: busySeconds / seconds.length,
        startSeconds,
      };
    }),
    backends: replicas.reduce((sum, count) => sum + count, 0),
    bottleneck: stages[utilizations.indexOf(Math.max(...utilizations))]!.stage,
    aloneSeconds: alone.reduce((sum, seconds) => sum + seconds, 0),
    p50Seconds: percentile(latencies, 0.5),
    p95Seconds: usual,
    inProgress: percentile(settled(result.inProgress), 0.99),
    cold: coldStart(stages, replicas, perSecond, usual),
  };
}

/** The latency of the first videos when no backend has started. */
function coldStart(stages: readonly StageLoad[], replicas: readonly number[], perSecond: number, usual: number) {
  const longest = Math.max(...stages.map(({ startSeconds }) => startSeconds));
  const count = Math.min(10_000, Math.max(200, Math.ceil(10 * perSecond * (longest + usual))));
  // Evenly spaced, so that jobs only wait at the start.
  const arrivals = Array.from({ length: count }, (_, index) => index / perSecond);
  const { latencies } = simulate({ stages, replicas, arrivals, cold: true });
  const late = latencies.findLastIndex((seconds) => seconds > usual);
  return { firstSeconds: latencies[0]!, settledSeconds: late === -1 ? 0 : arrivals[late]! + latencies[late]! };
}

function coldStartText({ stages, cold }: ReturnType<typeof summarize>): string {
  return stages.some(({ startSeconds }) => startSeconds === 0)
    ? 'Start times of backends are unknown; add startSeconds to the file to see what scaling from zero costs.\n'
    : `Scaling from zero: the first video is ready after ${formatSeconds(cold.firstSeconds)}; latency is back to normal after ${formatSeconds(cold.settledSeconds)}.\n`;
}

function stagesTable(stages: ReturnType<typeof summarize>['stages']): string {
  return formatTable(
    ['stage', 'backends', 'busy', 'alone', 'p50', 'p95', 'p95 waiting', 'batch', 'backend time a video', 'start'],
    stages.map((stage) => [
      stage.stage,
      String(stage.replicas),
      `${(100 * stage.utilization).toFixed(0)} %`,
      formatSeconds(stage.aloneSeconds),
      formatSeconds(stage.p50Seconds),
      formatSeconds(stage.p95Seconds),
      formatSeconds(stage.p95WaitSeconds),
      stage.itemsOfBatch.toFixed(1),
      formatSeconds(stage.backendSecondsOfVideo),
      stage.startSeconds === 0 ? 'not known' : formatSeconds(stage.startSeconds),
    ]),
  );
}

function parsePositive(option: string, given: string): number {
  const value = Number(given);
  if (given.trim() === '' || !(value > 0) || value > 1e9) {
    throw invalidField(option, given, 'a number above 0');
  }
  return value;
}
