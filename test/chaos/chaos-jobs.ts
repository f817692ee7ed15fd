import { type TestClient, testClient } from '../../gateway/testing/gateway.ts';
import { FrameRate, type VideoSettings, type WatchVideoResponse } from '../../proto/gen/fusionframes/v1/video.ts';
import { timeLimit } from '../../services/kit/time-limit.ts';
import type { Fleet } from '../support/fleet.ts';
import { follow, persist } from '../support/follow.ts';
import { type JobHistory, jobHistory } from '../support/job-history.ts';

/** Different videos, so that results of the wrong job are noticed. */
const variants: readonly Partial<VideoSettings>[] = [
  { prompt: 'a large red circle moving left on a navy background', seed: 1n, frameRate: FrameRate.FRAME_RATE_MEDIUM },
  { prompt: 'a small yellow circle moving up on a teal background', seed: 2n, frameRate: FrameRate.FRAME_RATE_LOW },
  {
    prompt: 'a large green square moving right on a black background',
    seed: 3n,
    frameRate: FrameRate.FRAME_RATE_MEDIUM,
  },
  { prompt: 'a small white triangle moving down on a purple background', seed: 4n, negativePrompt: 'red' },
];

export function variantOf(job: number): Partial<VideoSettings> {
  return {
    keyframes: { sampler: 0, steps: 12 },
    interpolation: { sampler: 0, steps: 8 },
    ...variants[job % variants.length],
  };
}

export const variantCount = variants.length;

/** A job, from its client's view. */
export interface SeenJob {
  job: number;
  /** `undefined` if it was never accepted. */
  id: string | undefined;
  /** Why the client gave up; `undefined` if it saw the end. */
  trouble: string | undefined;
  /** Changes that were duplicated, reordered or lost. */
  disorder: string[];
}

/**
 * Creates a job and follows it to its end, going to any gateway that answers.
 *
 * @param clientId of its request, unique among the jobs of the clients' key
 */
export async function runJob(
  job: number,
  clientId: string,
  clients: readonly TestClient[],
  signal: AbortSignal,
): Promise<SeenJob> {
  const seen: SeenJob = { job, id: undefined, trouble: undefined, disorder: [] };
  // Clients spread over the gateways.
  const mine = clients.map((_, index) => clients[(job + index) % clients.length]!);
  try {
    const create = ({ create }: TestClient) => create(variantOf(job), clientId);
    seen.id = (await persist(mine, create, signal)).id;
    seen.disorder = disorderOf(await follow(mine, seen.id, signal));
  } catch (error) {
    seen.trouble = (error as Error).message;
  }
  return seen;
}

function disorderOf(changes: readonly WatchVideoResponse[]): string[] {
  const wrong = changes.findIndex(({ resumeToken }, index) => Number(resumeToken) !== index + 1);
  return wrong === -1 ? [] : [`its watcher received change ${changes[wrong]!.resumeToken} as number ${wrong + 1}`];
}

/** Makes every variant once, undisturbed; returns the hashes of their files. */
export async function undisturbedFiles(
  fleet: Fleet,
  apiKey: string,
  interrupted: AbortSignal,
): Promise<JobHistory['files'][]> {
  const { signal, end } = timeLimit(300_000, interrupted);
  const client = testClient(fleet.gatewayAddresses[0]!, apiKey);
  const files: JobHistory['files'][] = [];
  for (let variant = 0; variant < variantCount; variant++) {
    const { id } = await client.create(variantOf(variant));
    await follow([client], id, signal);
    const history = await jobHistory(fleet.database.sql, id);
    if (history?.state !== 'succeeded') {
      throw new Error(`Undisturbed, variant ${variant} ended as ${JSON.stringify(history)}`);
    }
    files.push(history.files);
  }
  client.close();
  end();
  return files;
}
