import { readFile, rm, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { Command } from 'commander';
import { Status } from 'nice-grpc-common';
import type { NewVideo } from '../gateway/client/video-client.ts';
import type { Generation } from '../gateway/provenance/manifest.ts';
import type { Provenance } from '../gateway/provenance/read-provenance.ts';
import { either } from '../services/kit/either.ts';
import { FusionError, describe as inMessage, invalidField, inWords } from '../services/kit/errors.ts';
import { parseCertificates } from '../services/kit/pem-certificates.ts';
import { plainText } from '../services/kit/plain-text.ts';
import { reasonOf } from '../services/kit/reason-of.ts';
import { makeTemporaryFolder } from '../services/kit/temporary-folder.ts';
import { decimalNumber } from '../services/kit/values.ts';
import { loraText } from '../services/pipeline/loras.ts';
import { modelsSettings } from '../services/pipeline/models-folder.ts';
import { exitCode, reportError } from './exit.ts';
import { interruptSignal, reportInterruption } from './interrupt.ts';
import { readImage } from './read-image.ts';
import { readKeyframes } from './read-keyframes.ts';
import { parseFlag } from './video-options.ts';

interface VerifyOptions {
  trust?: string;
  preset?: string;
  models?: string;
  prompt?: string;
  negativePrompt?: string;
  image?: string;
  keyframes?: string;
  minPsnr: string;
  json?: boolean;
}

/** A video compared with the same one made here. */
interface Comparison {
  /** Hash of the weights here. */
  weights: string | undefined;
  /** Hash of the picture or keyframes that were given here, as they were scaled; absent without. */
  picture?: string;
  frames: number;
  /** Whether all frames are equal. */
  identical: boolean;
  /** Lowest of all frames, dB; null if identical. */
  psnr: number | null;
  matches: boolean;
}

const endings = ['.mp4', '.webp'];
const maxPsnr = 200;

export function verifyCommand(): Command {
  return new Command('verify')
    .description(
      'Report who made a video and whether it changed since; with --preset or --models, make it again and compare.',
    )
    .argument('<video>', 'an .mp4 or .webp file')
    .option('--trust <file>', 'accept only certificates issued by these authorities, PEM')
    .option('--preset <name>', 'make the video again with this preset (default with --models: the one the video names)')
    .option('--models <folder>', 'make the video again with the weights in this models folder')
    .option('--prompt <text>', 'the prompt, for a video that does not contain it')
    .option('--negative-prompt <text>', 'the negative prompt, for a video that does not contain it')
    .option('--image <file>', 'the picture that the video began with, for a video that had one')
    .option('--keyframes <path>', 'the clip, or the folder of pictures, between which the video was interpolated')
    .option('--min-psnr <dB>', 'minimum PSNR of every frame made again', '35')
    .option('--json', 'print JSON')
    .action(verify);
}

async function verify(path: string, options: VerifyOptions): Promise<void> {
  const minPsnr = parseFlag('--min-psnr', decimalNumber(0, maxPsnr), options.minPsnr);
  await requireVideo(path);
  const trusted = options.trust === undefined ? undefined : await readAuthorities(options.trust);
  const interrupted = interruptSignal();
  const { readProvenance } = await import('../gateway/provenance/read-provenance.ts');
  const provenance = await readProvenance(path, trusted);
  const isRendered = options.preset !== undefined || options.models !== undefined;
  const report = (comparison?: Comparison) =>
    process.stdout.write(
      options.json
        ? `${JSON.stringify({ file: path, ...provenance, comparison: comparison ?? null })}\n`
        : describe(path, provenance, comparison),
    );
  let comparison: Comparison | undefined;
  try {
    if (isRendered && provenance.state === 'valid') {
      comparison = await renderAgain(path, provenance.generation!, options, minPsnr, interrupted);
    }
  } catch (error) {
    if (interrupted.aborted) {
      reportInterruption(error, interrupted);
      return;
    }
    // What was found holds even if the video cannot be made again.
    report();
    if (!(error instanceof FusionError && error.reason === 'NEWER_SETTINGS')) {
      throw error;
    }
    reportError(error);
    process.exitCode = exitCode.unreadable;
    return;
  }
  report(comparison);
  const exits = { ...exitCode, valid: comparison?.matches === false ? exitCode.different : exitCode.ok };
  process.exitCode = exits[provenance.state];
}

async function requireVideo(path: string): Promise<void> {
  if (!endings.includes(extname(path).toLowerCase())) {
    throw invalidField('video', path, `a file name ending in ${either(endings)}`);
  }
  const stats = await stat(path).catch((error: Error) => {
    throw invalidField('video', path, `a readable file (${reasonOf(error)})`);
  });
  if (!stats.isFile()) {
    throw invalidField('video', path, 'a file');
  }
}

async function readAuthorities(path: string): Promise<string> {
  const pem = await readFile(path, 'utf8').catch((error: Error) => {
    throw invalidField('--trust', path, `a readable file (${reasonOf(error)})`);
  });
  try {
    parseCertificates(pem);
  } catch (error) {
    throw invalidField('--trust', path, `a file of PEM certificates; it ${(error as Error).message}`);
  }
  return pem;
}

/** Makes the video again in this process and compares every frame. */
async function renderAgain(
  path: string,
  generation: Generation,
  options: VerifyOptions,
  minPsnr: number,
  signal: AbortSignal,
): Promise<Comparison> {
  const request = await requestOf(generation, options);
  const { models } = options;
  const { listPresets, loadPreset } = await import('../services/pipeline/preset.ts');
  const preset = loadPreset(options.preset ?? statedPreset(generation, listPresets()), '--preset');
  if (models !== undefined) {
    process.env[modelsSettings.modelsFolder.name] = models;
  }
  const [{ reachGateway }, { runJob }, { saveOutputs }, { openPair, compareClips }, { weightsHash }] =
    await Promise.all([
      import('./reach-gateway.ts'),
      import('./run-job.ts'),
      import('./outputs.ts'),
      import('../triton-models/metrics/compare-clips.ts'),
      import('../triton-models/packaging/weights-hash.ts'),
    ]);
  const weights = await weightsHash(preset, signal);
  const { requestCheck } = await import('./check-request.ts');
  const check = await requestCheck(request);
  const encodesKeyframes = request.givenKeyframes !== undefined;
  const gateway = await reachGateway({ preset: options.preset ?? preset.name, check, encodesKeyframes }, signal);
  const folder = makeTemporaryFolder();
  try {
    const output = join(folder, `again${extname(path).toLowerCase()}`);
    const video = await runJob(gateway.client, request, signal, () => {});
    await saveOutputs(gateway.client, video, { output }, signal);
    const { frames } = await compareClips(await openPair(path, output), () => {}, signal);
    const psnr = Math.min(...frames.map((frame) => frame.psnr));
    const identical = psnr === Number.POSITIVE_INFINITY;
    const picture = video.files.find(({ file }) => file === 'input_reference')?.sha256;
    return {
      weights,
      ...(picture !== undefined && { picture }),
      frames: frames.length,
      identical,
      psnr: identical ? null : psnr,
      matches: psnr >= minPsnr,
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
    await gateway.close();
  }
}

/** The preset that a manifest names; never a path, because a stranger may have written it. */
function statedPreset({ model }: Generation, known: readonly string[]): string {
  const [name = ''] = model.split('@');
  if (!known.includes(name)) {
    const message = `The video states the model ${inMessage(model)}, which is not a preset of this release: pass \`--preset\``;
    throw new FusionError(Status.INVALID_ARGUMENT, message, { reason: 'INVALID_FIELD', field: '--preset' });
  }
  return name;
}

/** The request that made a video. Throws INVALID_ARGUMENT if a part of it is not known. */
async function requestOf({ settings, picture }: Generation, options: VerifyOptions): Promise<NewVideo> {
  const [{ toNewVideo }, { countGiven }] = await Promise.all([import('./jobs.ts'), import('./check-request.ts')]);
  const prompt = options.prompt ?? settings.prompt;
  if (prompt === undefined) {
    throw missing(
      '--prompt',
      'The video does not contain its prompt: pass it with `--prompt`, and with `--negative-prompt` if it had one',
    );
  }
  const negativePrompt = options.negativePrompt ?? settings.negativePrompt ?? '';
  if (settings.loras) {
    throw missing(
      'video',
      `The video was made with the LoRAs ${loraText(settings.loras)}: only videos of a preset alone can be made again`,
    );
  }
  // Single frames do not belong to the video file.
  const request = toNewVideo({ ...settings, prompt, negativePrompt, keepFrames: false });
  if (picture === undefined) {
    return request;
  }
  if (settings.givenKeyframes !== undefined) {
    if (options.keyframes === undefined) {
      throw missing('--keyframes', 'The video was interpolated between given keyframes: pass them with `--keyframes`');
    }
    const given = await readKeyframes(options.keyframes);
    const count = await countGiven(given);
    if (count !== settings.givenKeyframes) {
      const wanted = `the ${settings.givenKeyframes} keyframes that the video was given`;
      throw invalidField('--keyframes', inWords(`${count} frames`), wanted);
    }
    return { ...request, ...given };
  }
  if (options.image === undefined) {
    throw missing('--image', 'The video began with a picture: pass it with `--image`');
  }
  return { ...request, ...(await readImage(options.image)) };
}

function missing(field: string, message: string): FusionError {
  return new FusionError(Status.INVALID_ARGUMENT, message, { reason: 'INVALID_FIELD', field });
}

const sentences: Readonly<Record<Provenance['state'], string>> = {
  valid: 'made by FusionFrames and unchanged since it was signed',
  unsigned: 'no signature',
  foreign: 'signed by another program and unchanged since',
  unreadable: 'signed by FusionFrames and unchanged since; this release cannot read how it was made',
  invalid: 'the signature is not valid',
  damaged: 'not a readable MP4 or WebP file',
};

function describe(path: string, provenance: Provenance, comparison: Comparison | undefined): string {
  const { state, faults, isTrusted, generator, signer, createdAt, generation } = provenance;
  const trust = isTrusted === null ? 'not checked, see --trust' : isTrusted ? 'yes' : 'no';
  const rows = [
    ...faults.map((fault) => ['fault', fault]),
    ['made with', generator],
    ['created', createdAt],
    ['signed by', [signer?.name, signer?.organization].filter(Boolean).join(', ')],
    ...(signer ? [['trusted', trust]] : []),
    ['video', generation?.video],
    ['model', generation?.model],
    ['weights', generation?.weights],
    ['watermark', generation?.watermark],
    ['picture', generation?.picture],
    ...Object.entries(generation?.settings ?? {}).map(([name, value]) => [
      plainText(name),
      typeof value === 'object' ? JSON.stringify(value) : String(value),
    ]),
    ...(comparison
      ? [
          ['weights here', comparison.weights ?? 'none'],
          ['picture here', comparison.picture],
          ['made again', `${comparison.frames} frames, ${comparison.identical ? 'identical' : psnrText(comparison)}`],
        ]
      : []),
  ].filter((row): row is [string, string] => Boolean(row[1]));
  const width = Math.max(0, ...rows.map(([name]) => name.length));
  const lines = rows.map(([name, value]) => `  ${name.padEnd(width)}  ${plainText(value)}\n`);
  return `${path}: ${state} (${sentences[state]})\n${lines.join('')}`;
}

function psnrText({ psnr, matches }: Comparison): string {
  return `${matches ? 'alike' : 'DIFFERENT'}, lowest PSNR ${psnr!.toFixed(1)} dB`;
}
