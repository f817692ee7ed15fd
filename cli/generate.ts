import { Command, Option } from 'commander';
import { Status } from 'nice-grpc-common';
import { resolveSettings } from '../gateway/api/resolve-settings.ts';
import { JobState, type Video, type VideoSettings } from '../proto/gen/fusionframes/v1/video.ts';
import { FusionError } from '../services/kit/errors.ts';
import { createLogger } from '../services/kit/log.ts';
import { frameRateNames, loadPreset, samplerNames } from '../services/kit/preset.ts';
import { ensureRepository } from '../triton-models/build/ensure-repository.ts';
import { exitCode } from './exit.ts';
import { type GatewayClient, gatewayClient, longCall } from './gateway-client.ts';
import { interruptSignal } from './interrupt.ts';
import { startMesh } from './mesh.ts';
import { checkOutputs, saveOutputs } from './outputs.ts';
import { progressDisplay, showStart, stageName } from './progress.ts';
import { type GenerateOptions, toSettings } from './video-options.ts';

export function generateCommand(): Command {
  return new Command('generate')
    .description('Make a video from a prompt; without --address every service runs right here.')
    .argument('<prompt>', 'what the video shows')
    .option('-o, --output <file>', 'video to write: .mp4 or .webp; the storyboard goes beside it', 'video.mp4')
    .option('--frames <folder>', 'also write every frame as PNG into this folder')
    .addOption(
      new Option('--fps <rate>', "low 15, medium 57, high 225 frames (preset's default)").choices(frameRateNames),
    )
    .option('--seed <n>', 'whole number below 2^64; the same seed gives the same video (default: random)')
    .option('--steps <n>', "denoising steps of the keyframes (preset's default)")
    .option('--guidance-scale <x>', "how strictly the keyframes follow the prompt, 0 to 50 (preset's default)")
    .option('--interpolation-steps <n>', "denoising steps of the frames between (preset's default)")
    .option('--interpolation-guidance-scale <x>', "guidance of the frames between, 0 to 50 (preset's default)")
    .addOption(new Option('--sampler <name>', "solver of both networks (preset's default)").choices(samplerNames))
    .option('--negative-prompt <text>', 'what the video must not show')
    .option('--size <WxH>', "pixels, multiples of 8 (preset's default)")
    .addOption(
      new Option('--preset <name>', "preset to run here: a name, or the path of a preset's .json file")
        .default('nano')
        .conflicts('address'),
    )
    .option('--address <host:port>', 'use the gateway at this address instead of running the services here')
    .option('--json', 'print one JSON object about the video on standard output')
    .action(generate);
}

async function generate(prompt: string, options: GenerateOptions): Promise<void> {
  const settings = toSettings(prompt, options);
  await checkOutputs(options);
  const interrupted = interruptSignal();
  let gateway: ReachedGateway | undefined;
  try {
    gateway = await reachGateway(options, settings, interrupted);
    const video = await runJob(gateway.client, settings, interrupted, options);
    const files = await saveOutputs(gateway.client, video, options, interrupted);
    if (options.json) {
      process.stdout.write(`${JSON.stringify(summary(video, files))}\n`);
    } else {
      process.stdout.write(
        `${files.video} (${video.frames} frames, seed ${video.settings?.seed}), ${files.storyboard}\n`,
      );
    }
  } catch (error) {
    if (!interrupted.aborted) {
      throw error;
    }
    process.stderr.write('cancelled\n');
    process.exitCode = exitCode.interrupted;
  } finally {
    await gateway?.close();
  }
}

interface ReachedGateway {
  client: GatewayClient;
  close(): Promise<void>;
}

/** The gateway at the address given, or the whole mesh in this process. */
async function reachGateway(
  options: GenerateOptions,
  settings: VideoSettings,
  signal: AbortSignal,
): Promise<ReachedGateway> {
  if (options.address !== undefined) {
    const { client, close } = gatewayClient(options.address);
    return { client, close: async () => close() };
  }
  const preset = loadPreset(options.preset);
  // The gateway checks the same; here it saves starting the services for a request that it would refuse.
  resolveSettings(settings, preset);
  const showReady = showStart(process.stderr, 'services');
  const repository = await ensureRepository(preset, { signal });
  const mesh = await startMesh({
    preset,
    repository: repository.folder,
    warnings: repository.warnings,
    log: createLogger('fusionframes', 'warn'),
    signal,
  });
  showReady();
  const { client, close } = gatewayClient(mesh.address);
  return {
    client,
    async close() {
      close();
      await mesh.stop();
    },
  };
}

/** Creates the job and follows it to its end; an interrupt cancels it everywhere before this throws. */
async function runJob(
  client: GatewayClient,
  settings: VideoSettings,
  interrupted: AbortSignal,
  options: GenerateOptions,
): Promise<Video> {
  // Not ended by an interrupt: only the answer tells which job to cancel.
  const { video: created } = await client.createVideo({ settings });
  const id = created?.id as string;
  const cancel = () => void client.cancelVideo({ id }).catch(() => {});
  interrupted.addEventListener('abort', cancel, { once: true });
  if (interrupted.aborted) {
    cancel();
  }
  const display = progressDisplay(process.stderr);
  const warned = new Set<string>();
  try {
    let last = created as Video;
    for await (const { video } of client.watchVideo({ id }, { deadline: longCall })) {
      last = video as Video;
      showWarnings(last, warned);
      display.update(last);
    }
    return finished(last, options);
  } finally {
    interrupted.removeEventListener('abort', cancel);
    display.finish();
  }
}

function showWarnings(video: Video, shown: Set<string>): void {
  for (const warning of video.warnings.filter((text) => !shown.has(text))) {
    shown.add(warning);
    process.stderr.write(`warning: ${warning}\n`);
  }
}

/** The job if it succeeded; its failure as an error otherwise. */
function finished(video: Video, options: GenerateOptions): Video {
  if (video.state === JobState.JOB_STATE_SUCCEEDED) {
    return video;
  }
  if (video.state === JobState.JOB_STATE_CANCELLED) {
    throw new FusionError(Status.CANCELLED, `job ${video.id} was cancelled`);
  }
  const { failure } = video;
  if (!failure) {
    throw new FusionError(
      Status.UNAVAILABLE,
      `the gateway${options.address ? ` at ${options.address}` : ''} went away`,
    );
  }
  const code = Status[failure.code as keyof typeof Status] ?? Status.UNKNOWN;
  throw new FusionError(code, `${stageName(failure.stage)}: ${failure.reason}`);
}

function summary(video: Video, files: { video: string; storyboard: string }) {
  return {
    id: video.id,
    seed: String(video.settings?.seed),
    frames: video.frames,
    size: { width: video.settings?.width, height: video.settings?.height },
    secondsPerStage: video.stages.map(({ stage, seconds }) => ({ stage: stageName(stage), seconds })),
    file: files.video,
    storyboard: files.storyboard,
    warnings: video.warnings,
  };
}
