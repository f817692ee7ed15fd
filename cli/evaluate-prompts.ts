import { setImmediate } from 'node:timers/promises';
import { resolveSettings } from '../gateway/api/resolve-settings.ts';
import { toSettingsMessage } from '../gateway/client/video-message.ts';
import { invalidField } from '../services/kit/errors.ts';
import { seed as anySeed, seedsFrom, wholeNumber } from '../services/kit/values.ts';
import { writeWhole } from '../services/kit/write-whole.ts';
import { takesPicture } from '../services/pipeline/first-frame.ts';
import { loadPreset, type Preset } from '../services/pipeline/preset.ts';
import { type SheetRow, writeContactSheet } from '../triton-models/evaluation/contact-sheet.ts';
import { Detector } from '../triton-models/evaluation/detector.ts';
import { encodeFirstFrame } from '../triton-models/evaluation/first-frame.ts';
import { judge, type Verdict } from '../triton-models/evaluation/judge.ts';
import { renderTruth } from '../triton-models/evaluation/rendered-truth.ts';
import { KeptResults } from '../triton-models/metrics/kept-results.ts';
import { weightsHash } from '../triton-models/packaging/weights-hash.ts';
import { plainCaption, unseenScene } from '../triton-models/world/grammar.ts';
import { seededRandom } from '../triton-models/world/random.ts';
import { loadWorld, type Scene, type World } from '../triton-models/world/world.ts';
import { formatReport, reportOf } from './evaluation-report.ts';
import { withGatewayHint } from './gateway-hint.ts';
import { interruptSignal } from './interrupt.ts';
import { reportKept } from './kept-message.ts';
import { jobsAtOnce, type LookedAt, lookAtVideos, type PromptOfScene } from './look-at-videos.ts';
import { checkOutput } from './outputs.ts';
import { countDisplay } from './progress.ts';
import { type ReachedGateway, reachGateway } from './reach-gateway.ts';
import { byFlagName, type GivenOptions, parseFlag, toSampling } from './video-options.ts';

/** The options of `evaluate prompts` as they stand on the command line. */
export interface EvaluatePromptsOptions extends GivenOptions {
  prompts: string;
  seed: string;
  output: string;
  preset: string;
  firstFrame?: boolean;
  address?: string;
  json?: boolean;
}

const maxPrompts = 10_000;
/** Minimum number of drawn scenes for judging the detector. */
const minTruths = 64;

/** Makes videos of unseen prompts and reports how many are right. Throws INVALID_ARGUMENT naming the option. */
export async function evaluatePrompts(options: EvaluatePromptsOptions): Promise<void> {
  const count = parseFlag('--prompts', wholeNumber(1, maxPrompts), options.prompts);
  const seed = parseFlag('--seed', anySeed(), options.seed);
  const sampling = toSampling(options);
  const preset = loadPreset(options.preset);
  const world = loadWorld(preset);
  await checkOutput(options.output, ['.png']);
  const seeds = seedsFrom('--seed', seed, count);
  const scenes = drawScenes(world, count, seed);
  const pictures = options.firstFrame ? drawFirstFrames(world, scenes, preset) : [];
  const prompts = await Promise.all(
    scenes.map((scene, index) => toPrompt(world, scene, { seed: seeds[index]!, sampling, picture: pictures[index] })),
  );
  const interrupted = interruptSignal();
  const results = await KeptResults.beside(options.output);
  let gateway: ReachedGateway | undefined;
  try {
    const check = (served: Preset) => void resolveSettings(toSettingsMessage(prompts[0]!.request), served);
    const maker = options.address ?? [preset, await weightsHash(preset, interrupted)];
    gateway = await reachGateway({ ...options, check, concurrentJobs: jobsAtOnce }, interrupted);
    const detector = new Detector(world);
    const looked = await lookAtVideos(gateway.client, prompts, detector, { results, maker }, interrupted);
    const truths = drawScenes(world, Math.max(count, minTruths), seed);
    const truth = await lookAtTruth(world, truths, looked, detector, interrupted);
    await writeWhole(options.output, (partial) => writeContactSheet(partial, looked.rows.map(markIf(looked.isRandom))));
    await results.remove();
    const report = reportOf(
      looked.rows.map(({ verdict }) => verdict),
      truth,
      { smallest: smallestSize(world), kept: looked.kept },
    );
    process.stdout.write(
      options.json
        ? `${JSON.stringify({ ...report, ...(looked.isRandom && { weights: 'random' }), ...summary(looked.rows, seed, options) })}\n`
        : formatReport(report, looked.isRandom ? 'random' : 'trained'),
    );
    for (const warning of report.warnings) {
      process.stderr.write(`warning: ${warning}\n`);
    }
    if (!options.json) {
      process.stdout.write(`${options.output}\n`);
    }
  } catch (error) {
    await reportKept(byFlagName(withGatewayHint(error)), interrupted, results);
  } finally {
    await gateway?.close();
  }
}

/** Unseen scenes; the first ones do not depend on how many are drawn. */
function drawScenes(world: World, count: number, seed: bigint): Scene[] {
  const random = seededRandom(`scenes ${seed}`);
  return Array.from({ length: count }, () => unseenScene(world, random));
}

/** The first frame of each scene's film, drawn exactly. Throws INVALID_ARGUMENT for a preset that continues none. */
function drawFirstFrames(world: World, scenes: readonly Scene[], preset: Preset): Uint8Array[] {
  const { width, height } = preset.frameSize.default;
  if (!takesPicture(preset) || width !== height) {
    throw invalidField('--first-frame', preset.name, 'used with a preset whose square videos can continue a picture');
  }
  const random = seededRandom('first frames');
  return scenes.map((scene) => renderTruth(world, scene, 2, width, random).frames[0]!);
}

async function toPrompt(
  world: World,
  scene: Scene,
  given: { seed: bigint; sampling: ReturnType<typeof toSampling>; picture: Uint8Array | undefined },
): Promise<PromptOfScene> {
  const { seed, sampling, picture } = given;
  const prompt = plainCaption(world, scene);
  const request = {
    ...sampling,
    prompt,
    seed,
    keepFrames: true,
    ...(picture && { inputReference: await encodeFirstFrame(picture) }),
  };
  return { prompt, scene, picture, request };
}

function smallestSize({ sizes }: World): string {
  const [[smallest]] = Object.entries(sizes).sort(([, a], [, b]) => a - b) as [[string, number]];
  return smallest;
}

const markIf =
  (isRandom: boolean) =>
  (row: SheetRow): SheetRow =>
    isRandom ? { ...row, prompt: `(RANDOM WEIGHTS) ${row.prompt}` } : row;

/** The detector's verdicts on the same scenes drawn exactly, in the size and length of the videos. */
async function lookAtTruth(
  world: World,
  scenes: readonly Scene[],
  { frames, size }: LookedAt,
  detector: Detector,
  signal: AbortSignal,
): Promise<Verdict[]> {
  const random = seededRandom('truth');
  const display = countDisplay(process.stderr, 'drawn truth', scenes.length);
  const verdicts: Verdict[] = [];
  try {
    for (const scene of scenes) {
      verdicts.push(judge(scene, detector.detect(renderTruth(world, scene, frames, size, random))));
      display.advance();
      // Lets Ctrl-C through.
      await setImmediate();
      signal.throwIfAborted();
    }
  } finally {
    display.finish();
  }
  return verdicts;
}

function summary(rows: readonly SheetRow[], seed: bigint, { output }: EvaluatePromptsOptions) {
  return {
    seed: String(seed),
    contactSheet: output,
    prompts: rows.map(({ prompt, verdict: { seen, right, isRight } }) => ({ prompt, seen, right, isRight })),
  };
}
