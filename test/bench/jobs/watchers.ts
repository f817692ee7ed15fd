import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Status } from 'nice-grpc-common';
import { type TestClient, testClient } from '../../../gateway/testing/gateway.ts';
import { FrameRate, JobState, type VideoSettings } from '../../../proto/gen/fusionframes/v1/video.ts';
import type { FusionError } from '../../../services/kit/errors.ts';
import { type LoadGateway, startLoadGateway } from './load-gateway.ts';

const jobs = 50;
const rounds = 4;
/** Watchers share connections as a page's proxies do. */
const connections = 10;
const stepMilliseconds = 50;
const maxAttempts = 20;

interface Round {
  watchers: number;
  /** Changes that were received. */
  received: number;
  /** Watches that missed a change, received one twice or out of order, or did not see the end. */
  faulty: number;
  seconds: number;
  /** Of the gateway. */
  processorSeconds: number;
  /** MiB, while all watch and after the last has left. */
  during: number;
  after: number;
}

/** Watches 50 jobs with one watcher each and with ten each, in turns. */
export async function measureWatchers(): Promise<void> {
  const runs = await watchRounds([jobs, 10 * jobs], rounds);
  console.table(
    runs.map(({ watchers, received, faulty, seconds, processorSeconds, during, after }) => ({
      watchers,
      'changes received': received,
      'a second': Math.round(received / seconds),
      'watches with a fault (aim 0)': faulty,
      seconds: Number(seconds.toFixed(1)),
      'processor seconds': Number(processorSeconds.toFixed(1)),
      'MiB, most': Math.round(during),
      'MiB afterwards': Math.round(after),
    })),
  );
}

/** Makes the jobs with each number of watchers, in turns. */
export async function watchRounds(counts: readonly number[], times: number): Promise<Round[]> {
  const step = () => pause(stepMilliseconds);
  const gateway = await startLoadGateway(
    { keyframes: step, interpolation: step },
    { FUSIONFRAMES_CONCURRENT_JOBS: String(jobs) },
  );
  const clients = Array.from({ length: connections }, () => testClient(gateway.address));
  const runs: Round[] = [];
  try {
    for (let round = 1; round <= times; round++) {
      for (const watchers of counts) {
        process.stderr.write(`watchers: round ${round} of ${times}, ${watchers}\n`);
        runs.push(await Promise.race([watchJobs(clients, watchers, gateway), gateway.ended]));
      }
    }
  } finally {
    for (const { close } of clients) {
      close();
    }
    await gateway.stop();
  }
  return runs;
}

async function watchJobs(clients: TestClient[], watchers: number, gateway: LoadGateway): Promise<Round> {
  const started = performance.now();
  const processorBefore = gateway.processorSeconds();
  const settings: Partial<VideoSettings> = {
    frameRate: FrameRate.FRAME_RATE_MEDIUM,
    keyframes: { sampler: 0, steps: 30 },
    interpolation: { sampler: 0, steps: 20 },
  };
  const ids: string[] = [];
  for (let job = 0; job < jobs; job++) {
    ids.push(await createJob(clients[job % connections]!, settings));
  }
  const over = new AbortController();
  let during = 0;
  const sampling = (async () => {
    while (!over.signal.aborted) {
      during = Math.max(during, await gateway.memory());
      await pause(250, undefined, { signal: over.signal }).catch(() => {});
    }
  })();
  // Reported when the watches have ended.
  sampling.catch(() => {});
  const counts = await Promise.all(
    Array.from({ length: watchers }, (_, watcher) => watch(clients[watcher % connections]!, ids[watcher % jobs]!)),
  );
  const seconds = (performance.now() - started) / 1000;
  over.abort();
  await sampling;
  const faulty = counts.filter((count) => count === undefined).length;
  return {
    watchers,
    received: counts.reduce<number>((sum, count) => sum + (count ?? 0), 0),
    faulty,
    seconds,
    processorSeconds: gateway.processorSeconds() - processorBefore,
    during,
    after: await gateway.memory(),
  };
}

/** Creates a job. A repeated request with the same id creates no second one. */
function createJob({ create }: TestClient, settings: Partial<VideoSettings>): Promise<string> {
  const clientId = randomUUID();
  return untilAvailable(async () => (await create(settings, clientId)).id);
}

/** How many changes came from the first to the last; `undefined`: not every one, once, in order. */
function watch({ client }: TestClient, id: string): Promise<number | undefined> {
  let count = 0;
  let state: JobState = JobState.JOB_STATE_UNSPECIFIED;
  // A watch that is repeated goes on where it was.
  return untilAvailable(async () => {
    for await (const { video, resumeToken } of client.watchVideo({ id, resumeToken: String(count) })) {
      if (Number(resumeToken) !== ++count) {
        return undefined;
      }
      state = video!.state;
    }
    return state === JobState.JOB_STATE_SUCCEEDED ? count : undefined;
  });
}

/**
 * Repeats a call that may succeed later: on a busy machine the database can be late, and 500 watches that begin at once are more than
 * the gateway lets one address have pending.
 */
async function untilAvailable<T>(call: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      const { code } = error as FusionError;
      if (attempt === maxAttempts || (code !== Status.UNAVAILABLE && code !== Status.RESOURCE_EXHAUSTED)) {
        throw error;
      }
      await pause(1000);
    }
  }
}
