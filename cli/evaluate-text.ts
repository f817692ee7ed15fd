import { writeFile } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { formatCsv } from '../services/kit/csv.ts';
import { type FusionError, invalidField, toFusionError } from '../services/kit/errors.ts';
import { plainText } from '../services/kit/plain-text.ts';
import { formatTable } from '../services/kit/table.ts';
import { wholeNumber } from '../services/kit/values.ts';
import { writeWhole } from '../services/kit/write-whole.ts';
import type { ClipConfig } from '../services/pipeline/networks/clip.ts';
import { type ClipTokenizer, readClipTokenizer, standInTokenizer } from '../triton-models/metrics/clip-tokenizer.ts';
import { drawSimilarity, type NamedSimilarity } from '../triton-models/metrics/draw-similarity.ts';
import { findVideos } from '../triton-models/metrics/find-videos.ts';
import { type JudgeWeights, withWeights } from '../triton-models/metrics/judge-weights.ts';
import { fileKey, KeptResults } from '../triton-models/metrics/kept-results.ts';
import { type Clip, openClip } from '../triton-models/metrics/open-clip.ts';
import { readPrompts } from '../triton-models/metrics/read-prompts.ts';
import { type ClipTowers, embedTexts, frameSimilarities } from '../triton-models/metrics/text-similarity.ts';
import { modelOf } from '../triton-models/packaging/model-set.ts';
import { type FeatureNetworks, loadFeatureNetworks } from '../triton-models/sources/feature-networks.ts';
import { hasRandomVideos } from './generate-prompts.ts';
import { interruptSignal } from './interrupt.ts';
import { reportKept } from './kept-message.ts';
import { type MakingOptions, makeVideos, requireNoMaking } from './make-videos.ts';
import { checkOutput } from './outputs.ts';
import { countDisplay } from './progress.ts';
import { readTasks } from './prompt-tasks.ts';
import { type JudgeOptions, type ServedJudges, serveJudges } from './serve-judges.ts';
import { formatText } from './table-cells.ts';
import { parseFlag } from './video-options.ts';

/** Command-line options of `evaluate text`. */
export interface EvaluateTextOptions extends JudgeOptions, MakingOptions {
  make?: boolean;
  frames?: string;
  network: string;
  output: string;
  csv?: string;
  json?: boolean;
}

const maxFrames = 1_000_000;
const shownPrompt = 60;

interface PromptedClip {
  name: string;
  prompt: string;
  clip: Clip;
  /** Frames to look at. */
  frames: number;
}

/** Reports how well videos fit their prompts. Throws INVALID_ARGUMENT naming the argument, option or file. */
export async function evaluateText(prompts: string, videos: string, options: EvaluateTextOptions): Promise<void> {
  const { frames, output, csv, json } = options;
  const firstFrames = frames === undefined ? undefined : parseFlag('--frames', wholeNumber(1, maxFrames), frames);
  const networks = loadFeatureNetworks(options.network, '--network');
  const models = clipModels(networks);
  await checkOutput(output, ['.png']);
  if (csv !== undefined) {
    await checkOutput(csv, ['.csv'], '--csv');
  }
  const vocabulary = await readVocabulary(networks, models.config, options);
  let isRandom = false;
  if (options.make) {
    if (!isTaskFile(prompts)) {
      throw invalidField('prompts', prompts, 'a .jsonl file with --make, as `generate --prompts` reads it');
    }
    const made = await makeVideos(prompts, 'videos', videos, options);
    if (!made) {
      return;
    }
    isRandom = made.isRandom;
  } else {
    requireNoMaking(options, '--make');
  }
  const clips = await openClips(prompts, videos, firstFrames);
  isRandom ||= await hasRandomVideos(clips.map(({ clip }) => clip.path));
  const interrupted = interruptSignal();
  const kept = await KeptResults.beside(output);
  let judges: ServedJudges | undefined;
  try {
    judges = await serveJudges(networks, options, interrupted);
    const { weights, content } = judges;
    if (vocabulary.missing && weights !== 'random') {
      throw vocabulary.missing;
    }
    const marked = isRandom ? 'random' : weights;
    const key = `${networks.name} ${content}${vocabulary.missing ? ` ${standIn}` : ''}`;
    const { run } = judges;
    const towers = { ...models, tokenizer: vocabulary.tokenizer, run };
    const found = await compareAll(clips, towers, key, kept, interrupted);
    const mean = meanOf(found.map((each) => each.mean));
    await writeWhole(output, (partial) => drawSimilarity(partial, found, marked));
    if (csv !== undefined) {
      await writeWhole(csv, (partial) => writeFile(partial, toCsv(found, weights, isRandom)));
    }
    await kept.remove();
    const marks = { ...(isRandom && { videoWeights: 'random' }), ...(vocabulary.missing && { vocabulary: standIn }) };
    process.stdout.write(
      json
        ? `${JSON.stringify({ ...toJson(found, mean, networks.name, weights, output), ...marks })}\n`
        : `${toTable(found, mean, marked)}${output}\n`,
    );
    if (vocabulary.missing) {
      process.stderr.write(`warning: ${networks.name} has no tokenizer here: every byte of a prompt is a token\n`);
    }
  } catch (error) {
    await reportKept(error, interrupted, kept);
  } finally {
    await judges?.close();
  }
}

/** Opens all videos before computing anything, so that mismatches are reported at once. */
async function openClips(prompts: string, videos: string, frames?: number): Promise<PromptedClip[]> {
  const found = [...(await findVideos('videos', videos)).videos];
  const names = found.map(([name]) => name);
  const texts = await (isTaskFile(prompts) ? readTaskPrompts(prompts, names) : readPrompts(prompts, names));
  const clips: PromptedClip[] = [];
  for (const [index, [name, path]] of found.entries()) {
    const clip = await openClip(path);
    const wanted = frames ?? clip.frameCount;
    if (clip.frameCount < Math.max(1, wanted)) {
      throw invalidField(
        'videos',
        path,
        `a video of at least ${Math.max(1, wanted)} frames, but it has ${clip.frameCount}`,
      );
    }
    clips.push({ name, prompt: texts[index]!, clip, frames: wanted });
  }
  return clips;
}

const isTaskFile = (path: string) => extname(path).toLowerCase() === '.jsonl';

/** The prompts of videos that `generate --prompts` made from this file. */
async function readTaskPrompts(prompts: string, names: readonly string[]): Promise<string[]> {
  const tasks = await readTasks({ prompts, output: '', preset: '' }, '');
  const byName = new Map(tasks.map(({ path, request }) => [basename(path), request.prompt]));
  return names.map((name) => {
    const prompt = byName.get(name);
    if (prompt === undefined) {
      throw invalidField('prompts', prompts, `a file with the prompt of every video: "${name}" is missing`);
    }
    return prompt;
  });
}

function clipModels(networks: FeatureNetworks): Pick<ClipTowers, 'image' | 'text' | 'config'> {
  const text = modelOf(networks, 'clipText');
  return { image: modelOf(networks, 'clipImage').name, text: text.name, config: text.config as ClipConfig };
}

const standIn = 'stand-in';

interface Vocabulary {
  tokenizer: ClipTokenizer;
  /** Why it is a stand-in, which only random weights may have. */
  missing?: FusionError;
}

/** The published vocabulary, or with --random-weights a stand-in where there is none. */
async function readVocabulary(
  { checkpointFolder, tokenizer = 'tokenizer.json' }: FeatureNetworks,
  config: ClipConfig,
  { randomWeights }: JudgeOptions,
): Promise<Vocabulary> {
  try {
    return { tokenizer: await readClipTokenizer(join(checkpointFolder, tokenizer), config) };
  } catch (error) {
    const missing = toFusionError(error);
    if (!randomWeights || missing.reason !== 'CHECKPOINT_NOT_FOUND') {
      throw error;
    }
    return { tokenizer: standInTokenizer(config), missing };
  }
}

async function compareAll(
  clips: readonly PromptedClip[],
  towers: ClipTowers,
  networkKey: string,
  kept: KeptResults,
  signal: AbortSignal,
): Promise<NamedSimilarity[]> {
  const texts = await embedTexts(
    towers,
    clips.map(({ prompt }) => prompt),
  );
  const total = clips.reduce((sum, { frames }) => sum + frames, 0);
  const display = countDisplay(process.stderr, 'frames', total);
  const found: NamedSimilarity[] = [];
  try {
    for (const [index, { name, prompt, clip, frames }] of clips.entries()) {
      const key = JSON.stringify([await fileKey(clip.path), frames, prompt, networkKey]);
      const { value, wasKept } = await kept.get(key, () =>
        frameSimilarities(towers, clip, frames, texts[index]!, () => display.advance()),
      );
      if (wasKept) {
        display.skip(frames);
      }
      found.push({ name, prompt, clip, similarities: value, mean: meanOf(value) });
      // Lets Ctrl-C through.
      await setImmediate();
      signal.throwIfAborted();
    }
  } finally {
    display.finish();
  }
  return found;
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function toTable(videos: readonly NamedSimilarity[], mean: number, weights: JudgeWeights): string {
  const row = (name: string, frames: string, similarity: number, prompt: string) => [
    plainText(name),
    frames,
    withWeights(similarity.toFixed(4), weights),
    formatText(prompt, shownPrompt),
  ];
  const rows = videos.map((each) => row(each.name, String(each.similarities.length), each.mean, each.prompt));
  return formatTable(
    ['video', 'frames', 'CLIPSIM', 'prompt'],
    videos.length > 1 ? [...rows, row('mean', '', mean, '')] : rows,
  );
}

function toCsv(videos: readonly NamedSimilarity[], weights: JudgeWeights, isRandom: boolean): string {
  const rows = videos.flatMap(({ name, similarities }) =>
    similarities.map((similarity, frame) => [name, frame, similarity, weights, ...(isRandom ? ['random'] : [])]),
  );
  return formatCsv(['video', 'frame', 'clipsim', 'clip_weights', ...(isRandom ? ['video_weights'] : [])], rows);
}

function toJson(
  videos: readonly NamedSimilarity[],
  mean: number,
  network: string,
  weights: JudgeWeights,
  picture: string,
) {
  return {
    clipsim: mean,
    network,
    weights,
    videos: videos.map(({ name, prompt, mean, similarities }) => ({
      name,
      prompt,
      clipsim: mean,
      frames: similarities,
    })),
    picture,
  };
}
