import { Command, Option } from 'commander';
import { Status } from 'nice-grpc-common';
import type { Video } from '../gateway/client/video.ts';
import { FusionError, invalidField } from '../services/kit/errors.ts';
import { loraText } from '../services/pipeline/loras.ts';
import { requestCheck } from './check-request.ts';
import { remoteGatewayOption } from './gateway-address.ts';
import { withGatewayHint } from './gateway-hint.ts';
import { interruptSignal, reportInterruption } from './interrupt.ts';
import { checkOutputs, saveOutputs } from './outputs.ts';
import { progressDisplay, stageLabel } from './progress.ts';
import { type ReachedGateway, reachGateway } from './reach-gateway.ts';
import { readImage } from './read-image.ts';
import { readKeyframes } from './read-keyframes.ts';
import { runJob, sayAbsent, warningsDisplay } from './run-job.ts';
import {
  addVideoOptions,
  byFlagName,
  type GenerateOptions,
  loraFlag,
  metadataFlag,
  toNewVideo,
} from './video-options.ts';

export function generateCommand(): Command {
  const command = new Command('generate')
    .description('Make a video from a prompt; without --address all services run in this process.')
    .argument('[prompt]', 'what the video shows')
    .option('-o, --output <file>', 'video to write: .mp4 or .webp; the storyboard goes beside it', 'video.mp4')
    .addOption(promptsOption)
    .option(
      '--image <file>',
      "picture that the video begins with, for models that continue one: PNG, JPEG, WebP or AVIF, cropped to the video's shape; with --address also a video and a frame, such as video_1a2b...:12",
    )
    .addOption(
      new Option(
        '--keyframes <path>',
        "interpolate between these instead of making keyframes: a clip (MP4, MOV, WebM or animated WebP) or a folder of numbered pictures, at most as many as the model has keyframes, cropped to the video's shape",
      ).conflicts('image'),
    )
    .option('--frames <folder>', 'also write every frame as PNG into this folder');
  return addVideoOptions(command)
    .option('--size <WxH>', "size in pixels, multiples of 8 (default: the preset's)")
    .addOption(
      new Option('--preset <name>', "preset to run here: a name, or the path of a preset's .json file")
        .default('nano')
        .conflicts('address'),
    )
    .addOption(remoteGatewayOption())
    .option(
      '--deadline <time>',
      'fail if it is not finished by then: a duration such as 10m, or an ISO 8601 time (default: none)',
    )
    .option('--priority <n>', 'from -100 to 100; your queued videos of higher priority start first (default: 0)')
    .option('--model <id>', "model of the gateway at --address, such as nano or nano@2 (default: the gateway's)")
    .addOption(loraFlag())
    .addOption(metadataFlag('a label to store with the video, which `jobs list` can filter by'))
    .option('--json', 'print one JSON object about the video on standard output')
    .action(generate);
}

const promptsOption = new Option(
  '--prompts <file>',
  'make a video of each line, such as {"prompt": "a red circle", "seed": 7, "name": "circle"}, in the folder --output; a repeated run skips finished ones',
).conflicts(['frames', 'json', 'keyframes']);

async function generate(prompt: string | undefined, options: GenerateOptions & { prompts?: string }): Promise<void> {
  if (options.model !== undefined && options.address === undefined) {
    throw invalidField('--model', options.model, 'absent without --address; --preset names the preset to run here');
  }
  if (options.lora !== undefined && options.address === undefined) {
    throw invalidField('--lora', loraText(options.lora), 'absent without --address: `serve --lora` serves one');
  }
  const { prompts } = options;
  if ((prompt === undefined) === (prompts === undefined)) {
    throw new FusionError(Status.INVALID_ARGUMENT, 'Pass either a prompt or --prompts');
  }
  if (prompts !== undefined) {
    const { generatePrompts } = await import('./generate-prompts.ts');
    const done = await generatePrompts({ ...options, prompts });
    if (done !== undefined) {
      process.stdout.write(`${done.summary}\n`);
    }
    return;
  }
  return generateOne(prompt!, options);
}

async function generateOne(prompt: string, options: GenerateOptions): Promise<void> {
  const request = {
    ...toNewVideo(prompt, options),
    ...(await readImage(options.image)),
    ...(await readKeyframes(options.keyframes)),
  };
  await checkOutputs(options);
  const interrupted = interruptSignal();
  let gateway: ReachedGateway | undefined;
  const display = progressDisplay(process.stderr);
  const showWarnings = warningsDisplay(process.stderr);
  try {
    // The gateway checks the same, but only after all services have started.
    const check = await requestCheck(request);
    gateway = await reachGateway(
      { ...options, check, encodesKeyframes: request.givenKeyframes !== undefined },
      interrupted,
    );
    const onUpdate = (update: Video) => {
      showWarnings(update);
      display.update(update);
    };
    const onAbsence = () => {
      display.finish();
      sayAbsent(options.address);
    };
    const video = await runJob(gateway.client, request, interrupted, onUpdate, onAbsence).finally(() =>
      display.finish(),
    );
    const files = await saveOutputs(gateway.client, video, options, interrupted);
    if (options.json) {
      process.stdout.write(`${JSON.stringify(summary(video, files))}\n`);
    } else {
      process.stdout.write(
        `${files.video} (${video.frames} frames, seed ${video.settings.seed}), ${files.storyboard}\n`,
      );
    }
  } catch (error) {
    reportInterruption(byFlagName(withGatewayHint(error)), interrupted);
  } finally {
    await gateway?.close();
  }
}

function summary(video: Video, files: { video: string; storyboard: string }) {
  return {
    id: video.id,
    seed: video.settings.seed,
    frames: video.frames,
    givenKeyframes: video.givenKeyframes,
    size: { width: video.settings.width, height: video.settings.height },
    secondsPerStage: video.stages.map(({ stage, seconds }) => ({ stage: stageLabel(stage), seconds })),
    file: files.video,
    storyboard: files.storyboard,
    warnings: video.warnings,
  };
}
