import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Status } from 'nice-grpc-common';
import { z } from 'zod';
import type { NewVideo } from '../gateway/client/video-client.ts';
import { FusionError, invalidField, inWords } from '../services/kit/errors.ts';
import { withoutNulls } from '../services/kit/null-fields.ts';
import { parseJson } from '../services/kit/parse-json.ts';
import { reasonOf } from '../services/kit/reason-of.ts';
import { parseSchema } from '../services/kit/schema.ts';
import { seed, seedsFrom } from '../services/kit/values.ts';
import { loadPreset } from '../services/pipeline/preset.ts';
import { checkPrompt, checkText, videoOptions } from '../services/pipeline/video-options.ts';
import { weightsHash } from '../triton-models/packaging/weights-hash.ts';
import { ImageHashes } from './read-image.ts';
import { type GenerateOptions, toNewVideo } from './video-options.ts';

const maxVideos = 100_000;

/** Most videos of one line. */
const maxOfLine = 1000;
const countRule = `a whole number from 1 to ${maxOfLine}`;

const line = z.strictObject({
  prompt: videoOptions.prompt.kind.given,
  negative_prompt: videoOptions.negativePrompt.kind.given.optional(),
  seed: seed().given.optional(),
  name: z
    .string()
    .regex(/^[\w-][\w.-]{0,99}$/, '1 to 100 letters, digits, `-`, `_` or `.`, not starting with a dot')
    .optional(),
  metadata: z.record(z.string(), z.string()).optional(),
  /** Relative to the file with the prompts. */
  image: z.string().min(1, 'the path of a picture').optional(),
  n: z.int(countRule).min(1, countRule).max(maxOfLine, countRule).optional(),
});

/** A video to make, and where it goes. */
export interface Task {
  /** Without the picture: those of all videos need not fit into memory. */
  request: NewVideo;
  /** Path of the picture, or a video's id and a frame. */
  image: string | undefined;
  /** Path without its ending. */
  path: string;
  /** Hash of the request and the model; if it changes, the video is made again. */
  hash: string;
}

/**
 * What makes the videos, as text that changes with it: the address of a gateway (a request names its model itself), or a
 * preset's content and weights. Throws INVALID_ARGUMENT for a preset that cannot be read.
 */
export async function makerOf({ address, preset }: Pick<GenerateOptions, 'address' | 'preset'>): Promise<string> {
  if (address !== undefined) {
    return address;
  }
  const loaded = loadPreset(preset);
  return JSON.stringify([{ ...loaded, folder: undefined }, await weightsHash(loaded)]);
}

/**
 * Reads the lines of `--prompts`. Throws INVALID_ARGUMENT naming the file, the line and the field.
 *
 * @param maker see {@link makerOf}; none where only the requests are looked at
 */
export async function readTasks(
  options: GenerateOptions & { prompts: string },
  folder: string,
  maker?: string,
): Promise<Task[]> {
  const text = await readFile(options.prompts, 'utf8').catch((error: Error) => {
    throw invalidField('--prompts', options.prompts, `a file that can be read (${reasonOf(error)})`);
  });
  const lines = text.split('\n').map((each) => each.trim());
  const identities = { maker, images: new ImageHashes() };
  const tasks: Task[] = [];
  for (const [index, each] of lines.entries()) {
    tasks.push(...(each === '' ? [] : await toTasks(options, folder, each, index + 1, identities)));
  }
  if (tasks.length === 0 || tasks.length > maxVideos) {
    throw invalidField(
      '--prompts',
      inWords(`${tasks.length} videos`),
      `a file of JSON lines for 1 to ${maxVideos} videos`,
    );
  }
  const paths = new Set<string>();
  for (const { path } of tasks) {
    if (paths.has(path)) {
      throw new FusionError(Status.INVALID_ARGUMENT, `${options.prompts}: two videos are named ${path}`);
    }
    paths.add(path);
  }
  return tasks;
}

/** One for each of the line's `n` videos, whose seeds count up from the line's. */
async function toTasks(
  options: GenerateOptions & { prompts: string },
  folder: string,
  text: string,
  number: number,
  { maker, images }: { maker: string | undefined; images: ImageHashes },
): Promise<Task[]> {
  const {
    negative_prompt: negativePrompt,
    name = String(number).padStart(5, '0'),
    n = 1,
    ...rest
  } = await named(options.prompts, number, () => parseLine(text));
  const common = toNewVideo(rest.prompt, { ...options, output: '.mp4' });
  const request: NewVideo = {
    ...common,
    ...(negativePrompt !== undefined && { negativePrompt }),
    ...(rest.metadata && { metadata: { ...common.metadata, ...rest.metadata } }),
  };
  const first = rest.seed ?? common.seed;
  const image = rest.image === undefined ? options.image : imageOfLine(rest.image, options.prompts);
  const picture = image === undefined ? undefined : await named(options.prompts, number, () => images.of(image));
  const field = rest.seed === undefined ? '--seed' : 'seed';
  const seeds =
    first === undefined ? undefined : await named(options.prompts, number, () => seedsFrom(field, first, n));
  return Array.from({ length: n }, (_, index) => {
    const seed = seeds?.[index];
    const task = { request: { ...request, ...(seed !== undefined && { seed }) }, image };
    return toTask(task, join(folder, n === 1 ? name : `${name}-${index + 1}`), { picture, maker });
  });
}

/** The path of a line's picture; a frame of a video stays as it is. */
function imageOfLine(image: string, prompts: string): string {
  return /^video_/.test(image) ? image : resolve(dirname(prompts), image);
}

/** @param identities what identifies its picture and its maker */
function toTask(
  { request, image }: Pick<Task, 'request' | 'image'>,
  path: string,
  identities: { picture: string | undefined; maker: string | undefined },
): Task {
  // A deadline is given from now, and does not change the video.
  const identity = { ...request, deadline: undefined, ...identities };
  const described = JSON.stringify(identity, (_, value) => (typeof value === 'bigint' ? String(value) : value));
  return { request, image, path, hash: createHash('sha256').update(`${path}\n${described}`).digest('hex') };
}

/** Names the file and the line in an error. */
async function named<T>(file: string, number: number, read: () => T | Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw new FusionError(Status.INVALID_ARGUMENT, `${file}, line ${number}: ${(error as Error).message}`);
  }
}

function parseLine(text: string): z.infer<typeof line> {
  const parsed = parseSchema(line, withoutNulls(line, parseJson(text)));
  // Here, because a gateway would see it only after other videos were made.
  checkPrompt('prompt', parsed.prompt);
  checkText('negative_prompt', parsed.negative_prompt ?? '');
  return parsed;
}
