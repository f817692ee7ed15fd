import { Command, Option } from 'commander';
import type { EvaluateDecoderOptions } from './evaluate-decoder.ts';
import type { EvaluateDistributionOptions } from './evaluate-distribution.ts';
import type { EvaluatePairsOptions } from './evaluate-pairs.ts';
import type { EvaluatePromptsOptions } from './evaluate-prompts.ts';
import type { EvaluateTextOptions } from './evaluate-text.ts';
import { remoteGatewayOption } from './gateway-address.ts';
import { addSamplingOptions } from './video-options.ts';

export function evaluateCommand(): Command {
  const prompts = new Command('prompts')
    .summary('Check what videos of unseen prompts show.')
    .description(
      "Make videos of prompts that were not in the training data, check what they show and print the accuracy. For presets trained on the project's own world of moving shapes.",
    )
    .option('--prompts <n>', 'how many, 1 to 10000', '128')
    .option('--seed <n>', 'whole number below 2^64; the same seed gives the same prompts and videos', '0')
    .option(
      '-o, --output <file>',
      'contact sheet to write, PNG: each prompt with its frames and what was detected',
      'evaluation.png',
    )
    .addOption(
      new Option(
        '--preset <name>',
        "preset whose world the prompts come from: a name, or the path of a preset's .json file",
      ).default('nano'),
    )
    .option(
      '--first-frame',
      'give each video the first frame of its scene, drawn exactly, and also report what it keeps of that',
    )
    .addOption(remoteGatewayOption())
    .option('--json', 'print one JSON object with scores and prompts on standard output');
  addSamplingOptions(prompts).action(async (options: EvaluatePromptsOptions) => {
    const { evaluatePrompts } = await import('./evaluate-prompts.ts');
    await evaluatePrompts(options);
  });
  return new Command('evaluate')
    .description('Measure how good the videos are.')
    .addCommand(prompts)
    .addCommand(pairsCommand())
    .addCommand(decoderCommand())
    .addCommand(distributionCommand())
    .addCommand(textCommand());
}

function pairsCommand(): Command {
  const pairs = new Command('pairs')
    .summary('Compare videos frame by frame.')
    .description(
      'Compare videos frame by frame: MSE, PSNR, SSIM and LPIPS. Each argument is a video (MP4, WebM, MOV, animated WebP or a folder of numbered pictures) or a folder of videos, matched by name.',
    )
    .argument('<reference>', 'the expected videos')
    .argument('<candidate>', 'the videos to compare with them')
    .option('--prompts <file>', promptsHelp('candidate'));
  return addMakingOptions(addComparisonOptions(pairs)).action(
    async (reference: string, candidate: string, options: EvaluatePairsOptions) => {
      const { evaluatePairs } = await import('./evaluate-pairs.ts');
      await evaluatePairs(reference, candidate, options);
    },
  );
}

function decoderCommand(): Command {
  const decoder = new Command('decoder')
    .summary('Measure what MoVQ loses of videos.')
    .description(
      "Encode videos with a preset's MoVQ, decode them and compare the result with them, frame by frame: MSE, PSNR, SSIM and LPIPS.",
    )
    .argument(
      '<videos>',
      'a video (MP4, WebM, MOV, animated WebP or a folder of numbered pictures) or a folder of videos',
    )
    .option('--preset <name>', "a name, or the path of a preset's .json file", 'nano');
  return addComparisonOptions(decoder).action(async (videos: string, options: EvaluateDecoderOptions) => {
    const { evaluateDecoder } = await import('./evaluate-decoder.ts');
    await evaluateDecoder(videos, options);
  });
}

function addComparisonOptions(command: Command): Command {
  command
    .option('--frames <n>', 'compare the first n frames (default: all, and both must have the same number)')
    .option(
      '-o, --output <file>',
      'picture to write, PNG: curves, and the least and most similar frames',
      'comparison.png',
    )
    .option('--csv <file>', 'CSV file to write, one line a frame')
    .option('--json', 'print one JSON object with the figures of every frame on standard output')
    .addOption(new Option('--lpips <network>', 'off, alex or vgg: also compute LPIPS on this network').default('off'));
  return addJudgeOptions(command);
}

function distributionCommand(): Command {
  const distribution = new Command('distribution')
    .summary('Compare sets of videos: FVD and Inception Score.')
    .description(
      'Compare real and generated videos as distributions: Fréchet Video Distance and Inception Score. The output names every choice that the figures depend on.',
    )
    .argument('<real>', 'folder of videos (MP4, WebM, MOV, animated WebP or folders of numbered pictures)')
    .argument('<generated>', 'folder of videos to compare with them')
    .option('--prompts <file>', promptsHelp('generated'))
    .option(
      '--protocol <name>',
      'choices of a publication, stylegan-v or videogpt; options below change them',
      'stylegan-v',
    )
    .option('--videos <n>', 'how many of each, the first by name (stylegan-v 2048, videogpt 256)')
    .option('--frames <n>', 'frames that the network sees of each video, at least 9 (16)')
    .option('--stride <n>', 'distance between sampled frames (1)')
    .option('--start <place>', 'first frame of real videos: random, by the seed (stylegan-v), or beginning (videogpt)')
    .option(
      '--resolution <n>',
      'first crop every video to its centre square and scale it to n×n (videos stay as they are)',
    )
    .option(
      '--crop <kind>',
      'none: frames are squeezed into a square (stylegan-v); centre: they are cropped to their centre (videogpt)',
    )
    .option(
      '--features <kind>',
      'what the distance is computed on: logits of the classes, or the features before them (logits)',
    )
    .option(
      '--splits <n>',
      'parts that the Inception Score is averaged over (10, with fewer than 20 videos half of them)',
    )
    .option('--network <name>', 'I3D: a name, or the path of a .json file', 'i3d-kinetics-400')
    .option(
      '--classifier <name>',
      'C3D for the Inception Score: c3d-ucf-101, or the path of a .json file (default: the logits of --network)',
    )
    .option('--seed <n>', 'whole number below 2^64: decides random starts and resamples', '0')
    .option('--resamples <n>', 'bootstrap resamples for the 95 % intervals; 0: no intervals', '100')
    .option('--skip-short', 'leave out videos with too few frames')
    .option(
      '-o, --output <file>',
      'picture to write, PNG: the features of both sets, and the generated videos least and most like a real one',
      'distribution.png',
    )
    .option('--csv <file>', 'CSV file to write, one line a figure')
    .option('--json', 'print one JSON object on standard output');
  return addMakingOptions(addJudgeOptions(distribution)).action(
    async (real: string, generated: string, options: EvaluateDistributionOptions) => {
      const { evaluateDistribution } = await import('./evaluate-distribution.ts');
      await evaluateDistribution(real, generated, options);
    },
  );
}

function textCommand(): Command {
  const text = new Command('text')
    .summary('Measure how well videos fit their prompts.')
    .description(
      'Measure how well videos fit their prompts: CLIPSIM, the mean cosine of the embeddings that CLIP gives their frames and the prompt.',
    )
    .argument(
      '<prompts>',
      'JSON object of prompts by video name; a text file with one prompt per line, in the order of the names; or the .jsonl file of `generate --prompts`',
    )
    .argument(
      '<videos>',
      'a video (MP4, WebM, MOV, animated WebP or a folder of numbered pictures) or a folder of videos',
    )
    .option('--make', 'first make a video of each line of <prompts> (.jsonl) in <videos>; finished ones are kept')
    .option('--frames <n>', 'look at the first n frames (default: all)')
    .option('--network <name>', "CLIP's networks: a name, or the path of a .json file", 'clip-vit-base-patch32')
    .option(
      '-o, --output <file>',
      'picture to write, PNG: curves, and the videos that fit least and best',
      'clipsim.png',
    )
    .option('--csv <file>', 'CSV file to write, one line a frame')
    .option('--json', 'print one JSON object with the figures of every frame on standard output');
  return addMakingOptions(addJudgeOptions(text)).action(
    async (prompts: string, videos: string, options: EvaluateTextOptions) => {
      const { evaluateText } = await import('./evaluate-text.ts');
      await evaluateText(prompts, videos, options);
    },
  );
}

const promptsHelp = (folder: string) =>
  `first make a video of each line of this file in <${folder}>, as \`generate --prompts\` does; finished ones are kept`;

/** Of commands that can make the videos that they look at. */
function addMakingOptions(command: Command): Command {
  command
    .addOption(
      new Option(
        '--preset <name>',
        "preset that makes videos here: a name, or the path of a preset's .json file (default: nano)",
      ).conflicts('address'),
    )
    .addOption(remoteGatewayOption());
  return addSamplingOptions(command);
}

function addJudgeOptions(command: Command): Command {
  return command
    .option('--inference <host:port>', 'run the networks on this inference server instead of here')
    .option(
      '--random-weights',
      'use random weights for networks without a checkpoint: to try the command, never to measure',
    );
}
