import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Status } from 'nice-grpc-common';
import { z } from 'zod';
import type { NewVideo } from '../gateway/client/video-client.ts';
import { FusionError, invalidField } from '../services/kit/errors.ts';
import { withoutNulls } from '../services/kit/null-fields.ts';
import { parseJson } from '../services/kit/parse-json.ts';
import { reasonOf } from '../services/kit/reason-of.ts';
import { parseSchema } from '../services/kit/schema.ts';
import { seed } from '../services/kit/values.ts';
import { type GenerateOptions, toNewVideo } from './video-options.ts';

const maxLines = 100_000;

const line = z.strictObject({
  prompt: z.string(),
  negative_prompt: z.string().optional(),
  seed: seed().given.optional(),
  name: z
    .string()
    .regex(/^[\w-][\w.-]{0,99}$/, '1 to 100 letters, digits, `-`, `_` or `.`, not starting with a dot')
    .optional(),
  metadata: z.record(z.string(), z.string()).optional(),
});

/** A video to make, and where it goes. */
export interface Task {
  request: NewVideo;
  /** Path without its ending. */
  path: string;
  /** Hash of the request: the video is made again if it changes. */
  hash: string;
}

/** Reads the lines of `--prompts`. Throws INVALID_ARGUMENT naming the file, the line and the field. */
export async function readTasks(options: GenerateOptions & { prompts: string }, folder: string): Promise<Task[]> {
  const text = await readFile(options.prompts, 'utf8').catch((error: Error) => {
    throw invalidField('--prompts', options.prompts, `a file that can be read (${reasonOf(error)})`);
  });
  const lines = text.split('\n').map((each) => each.trim());
  const tasks = lines.flatMap((each, index) => (each === '' ? [] : [toTask(options, folder, each, index + 1)]));
  if (tasks.length === 0 || tasks.length > maxLines) {
    throw invalidField('--prompts', `${tasks.length} lines`, `a file of 1 to ${maxLines} lines of JSON`);
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

function toTask(options: GenerateOptions & { prompts: string }, folder: string, text: string, number: number): Task {
  const {
    negative_prompt: negativePrompt,
    name = String(number).padStart(5, '0'),
    ...rest
  } = parseLine(options.prompts, text, number);
  const common = toNewVideo(rest.prompt, { ...options, output: '.mp4' });
  const request: NewVideo = {
    ...common,
    ...(negativePrompt !== undefined && { negativePrompt }),
    ...(rest.seed !== undefined && { seed: rest.seed }),
    ...(rest.metadata && { metadata: { ...common.metadata, ...rest.metadata } }),
  };
  const described = JSON.stringify(request, (_, value) => (typeof value === 'bigint' ? String(value) : value));
  const path = join(folder, name);
  return { request, path, hash: createHash('sha256').update(`${path}\n${described}`).digest('hex') };
}

function parseLine(file: string, text: string, number: number): z.infer<typeof line> {
  try {
    return parseSchema(line, withoutNulls(line, parseJson(text)));
  } catch (error) {
    throw new FusionError(Status.INVALID_ARGUMENT, `${file}, line ${number}: ${(error as Error).message}`);
  }
}
