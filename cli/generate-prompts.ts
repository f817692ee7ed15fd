import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Status } from 'nice-grpc-common';
import { z } from 'zod';
import { resolveSettings } from '../gateway/api/resolve-settings.ts';
import type { Video } from '../gateway/client/video.ts';
import type { NewVideo, VideoClient } from '../gateway/client/video-client.ts';
import { toSettingsMessage } from '../gateway/client/video-message.ts';
import { FusionError, invalidField, isAbortError, shorten, toFusionError } from '../services/kit/errors.ts';
import { makeFolder } from '../services/kit/make-folder.ts';
import { withoutNulls } from '../services/kit/null-fields.ts';
import { reasonOf } from '../services/kit/reason-of.ts';
import { describeFaults, tryParse } from '../services/kit/schema.ts';
import { seed } from '../services/kit/values.ts';
import { writeWhole } from '../services/kit/write-whole.ts';
import type { Preset } from '../services/pipeline/preset.ts';
import { withGatewayHint } from './gateway-client.ts';
import { interruptSignal, reportInterruption } from './interrupt.ts';
import { saveOutputs } from './outputs.ts';
import { countDisplay } from './progress.ts';
import { type ReachedGateway, reachGateway } from './reach-gateway.ts';
import { runJob } from './run-job.ts';
import { byFlagName, type GenerateOptions, toNewVideo } from './video-options.ts';

/** Jobs queued or running at once. */
const jobsAtOnce = 8;

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
interface Task {
  request: NewVideo;
  /** Path without its ending. */
  path: string;
  /** Hash of the request: the video is made again if it changes. */
  hash: string;
}

/**
 * Makes a video of each line of a file. A repeated run skips finished videos and joins jobs that are queued or running
 * at the gateway. Throws INVALID_ARGUMENT for an invalid line and, once all other videos are made, an error that lists
 * the failed ones.
 */
export async function generatePrompts(options: GenerateOptions & { prompts: string }): Promise<void> {
  const folder = options.output === 'video.mp4' ? 'videos' : options.output;
  const tasks = await readTasks(options, folder);
  await makeFolder(folder).catch((error: Error) => {
    throw invalidField('--output', folder, `a folder that can be created (${reasonOf(error)})`);
  });
  const missing: Task[] = [];
  for (const task of tasks) {
    if ((await madeOf(task)) !== task.hash) {
      missing.push(task);
    }
  }
  const interrupted = interruptSignal();
  const failures: string[] = [];
  let gateway: ReachedGateway | undefined;
  const display = countDisplay(process.stderr, 'videos', tasks.length);
  display.advance(tasks.length - missing.length);
  try {
    const check = (preset: Preset) => {
      for (const { request } of missing) {
        void resolveSettings(toSettingsMessage(request), preset);
      }
    };
    if (missing.length > 0) {
      gateway = await reachGateway({ ...options, check }, interrupted);
    }
    const client = gateway?.client;
    const waiting = missing.values();
    const work = async () => {
      for (const task of waiting) {
        interrupted.throwIfAborted();
        try {
          await make(client!, task, interrupted);
          display.advance();
        } catch (error) {
          interrupted.throwIfAborted();
          failures.push(`${task.path}: ${toFusionError(error).message}`);
          if (isAbortError(error) || toFusionError(error).code === Status.UNAUTHENTICATED) {
            throw error;
          }
        }
      }
    };
    await Promise.all(Array.from({ length: jobsAtOnce }, work));
  } catch (error) {
    reportInterruption(byFlagName(withGatewayHint(error)), interrupted);
    return;
  } finally {
    display.finish();
    await gateway?.close();
  }
  const made = missing.length - failures.length;
  process.stdout.write(`${folder}: ${made} videos made, ${tasks.length - missing.length} already present\n`);
  if (failures.length > 0) {
    throw new FusionError(Status.ABORTED, `${failures.length} videos failed:\n${failures.join('\n')}`);
  }
}

async function readTasks(options: GenerateOptions & { prompts: string }, folder: string): Promise<Task[]> {
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
  const parsed = tryParse(line, withoutNulls(line, parseJson(options.prompts, text, number)));
  if ('faults' in parsed) {
    throw new FusionError(
      Status.INVALID_ARGUMENT,
      `${options.prompts}, line ${number}: ${describeFaults(parsed.faults)}`,
    );
  }
  const { prompt, negative_prompt: negativePrompt, name = String(number).padStart(5, '0'), ...rest } = parsed.value;
  const common = toNewVideo(prompt, { ...options, output: '.mp4' });
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

function parseJson(file: string, text: string, number: number): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new FusionError(Status.INVALID_ARGUMENT, `${file}, line ${number}: not JSON: ${shorten(text)}`);
  }
}

/** The hash of the request that a finished video was made for. */
async function madeOf({ path }: Task): Promise<string | undefined> {
  const text = await readFile(`${path}.json`, 'utf8').catch(() => '{}');
  try {
    return (JSON.parse(text) as { request?: string }).request;
  } catch {
    return undefined;
  }
}

async function make(client: VideoClient, { request, path, hash }: Task, signal: AbortSignal): Promise<void> {
  const video = await runUnlessFailed(client, request, hash, signal);
  await saveOutputs(client, video, { output: `${path}.mp4` }, signal);
  // Written last: it marks the others as complete.
  const { id, settings, stages, warnings } = video;
  const facts = { request: hash, id, seed: settings.seed, prompt: settings.prompt, stages, warnings };
  await writeWhole(`${path}.json`, (partial) => writeFile(partial, `${JSON.stringify(facts)}\n`));
}

/** Joins the job of an earlier run unless it failed; its successor has another key. */
async function runUnlessFailed(
  client: VideoClient,
  request: NewVideo,
  hash: string,
  signal: AbortSignal,
): Promise<Video> {
  for (let attempt = 1; ; attempt++) {
    const keyed = { ...request, idempotencyKey: `${hash}-${attempt}` };
    const { state } = await client.create(keyed, { signal });
    if (state !== 'failed' && state !== 'cancelled') {
      return runJob(client, keyed, signal, () => {});
    }
  }
}
