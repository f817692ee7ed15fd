import { readFile, writeFile } from 'node:fs/promises';
import { join, parse } from 'node:path';
import { Status } from 'nice-grpc-common';
import type { Video } from '../gateway/client/video.ts';
import type { NewVideo, VideoClient } from '../gateway/client/video-client.ts';
import { FusionError, invalidField, isAbortError, toFusionError } from '../services/kit/errors.ts';
import { makeFolder } from '../services/kit/make-folder.ts';
import { reasonOf } from '../services/kit/reason-of.ts';
import { writeWhole } from '../services/kit/write-whole.ts';
import type { Preset } from '../services/pipeline/preset.ts';
import { isOfRandomWeights } from '../triton-models/packaging/weights-warnings.ts';
import { checkRequest } from './check-request.ts';
import { errorText } from './exit.ts';
import { withGatewayHint } from './gateway-hint.ts';
import { interruptSignal, reportInterruption } from './interrupt.ts';
import { saveOutputs } from './outputs.ts';
import { countDisplay } from './progress.ts';
import { makerOf, readTasks, type Task } from './prompt-tasks.ts';
import { type ReachedGateway, reachGateway } from './reach-gateway.ts';
import { readImage } from './read-image.ts';
import { runJob } from './run-job.ts';
import { byFlagName, type GenerateOptions } from './video-options.ts';

/** Jobs queued or running at once. */
const jobsAtOnce = 8;

/** What was done for a file of prompts. */
export interface MadePrompts {
  /** One sentence. */
  summary: string;
  /** Of all videos, those present before as well; each once. */
  warnings: string[];
}

/**
 * Makes a video of each line of a file. A repeated run skips finished videos and joins jobs that are queued or running
 * at the gateway. Returns what was done; undefined after Ctrl-C, which it has reported. Throws INVALID_ARGUMENT for
 * an invalid line and, once all other videos are made, an error that lists the failed ones.
 */
export async function generatePrompts(
  options: GenerateOptions & { prompts: string },
): Promise<MadePrompts | undefined> {
  const folder = options.output === 'video.mp4' ? 'videos' : options.output;
  const tasks = await readTasks(options, folder, await makerOf(options));
  await makeFolder(folder).catch((error: Error) => {
    throw invalidField('--output', folder, `a folder that can be created (${reasonOf(error)})`);
  });
  const missing: Task[] = [];
  for (const task of tasks) {
    if ((await factsOf(task)).request !== task.hash) {
      missing.push(task);
    }
  }
  const interrupted = interruptSignal();
  const failures: string[] = [];
  let gateway: ReachedGateway | undefined;
  const display = countDisplay(process.stderr, 'videos', tasks.length);
  display.skip(tasks.length - missing.length);
  try {
    const check = (preset: Preset) => {
      for (const { request, image } of missing) {
        checkRequest(image ? { ...request, inputReference: new Uint8Array() } : request, preset);
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
          failures.push(`${task.path}: ${errorText(error)}`);
          if (isAbortError(error) || toFusionError(error).code === Status.UNAUTHENTICATED) {
            throw error;
          }
        }
      }
    };
    await Promise.all(Array.from({ length: jobsAtOnce }, work));
  } catch (error) {
    reportInterruption(byFlagName(withGatewayHint(error)), interrupted);
    return undefined;
  } finally {
    display.finish();
    await gateway?.close();
  }
  const made = missing.length - failures.length;
  const done = `${folder}: ${made} videos made, ${tasks.length - missing.length} already present`;
  if (failures.length > 0) {
    throw new FusionError(Status.ABORTED, `${done}; ${failures.length} failed:\n${failures.join('\n')}`);
  }
  const warnings = new Set<string>();
  for (const task of tasks) {
    for (const warning of (await factsOf(task)).warnings ?? []) {
      warnings.add(warning);
    }
  }
  const summary = isOfRandomWeights([...warnings]) ? `${done} (RANDOM WEIGHTS)` : done;
  return { summary, warnings: [...warnings] };
}

/** Whether one of these video files was made by `generate --prompts` with random weights. */
export async function hasRandomVideos(videos: Iterable<string>): Promise<boolean> {
  for (const video of videos) {
    const { dir, name } = parse(video);
    if (isOfRandomWeights((await factsOf({ path: join(dir, name) })).warnings ?? [])) {
      return true;
    }
  }
  return false;
}

/** The facts of a finished video, such as the hash of the request that it was made for. */
async function factsOf({ path }: Pick<Task, 'path'>): Promise<{ request?: string; warnings?: string[] }> {
  const text = await readFile(`${path}.json`, 'utf8').catch(() => '{}');
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

async function make(client: VideoClient, { image, path, hash, ...task }: Task, signal: AbortSignal): Promise<void> {
  const request = { ...task.request, ...(await readImage(image)) };
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
