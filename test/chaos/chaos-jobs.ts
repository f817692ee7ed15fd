import { createHash } from 'node:crypto';
import { Status } from 'nice-grpc-common';
import { type TestClient, testClient } from '../../gateway/testing/gateway.ts';
import {
  FrameRate,
  VideoFile,
  type VideoSettings,
  type WatchVideoResponse,
} from '../../proto/gen/fusionframes/v1/video.ts';
import type { FusionError } from '../../services/kit/errors.ts';
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
  /** SHA-256 of the downloaded video. */
  video: string | undefined;
}

/** A job to make. */
export interface ChaosJob {
  job: number;
  /** Of its request, unique among the jobs of the clients' key. */
  clientId: string;
  /** URL to call at its end. */
  webhook: string;
}

/** Creates a job, follows it to its end and downloads its video, going to any gateway that answers. */
export async function runJob(
  { job, clientId, webhook }: ChaosJob,
  clients: readonly TestClient[],
  signal: AbortSignal,
): Promise<SeenJob> {
  const seen: SeenJob = { job, id: undefined, trouble: undefined, disorder: [], video: undefined };
  // Clients spread over the gateways.
  const mine = clients.map((_, index) => clients[(job + index) % clients.length]!);
  try {
    const options = { webhook: { url: webhook, secret: 'chaos', events: [] } };
    const create = ({ create }: TestClient) => create(variantOf(job), clientId, options);
    const { id } = await persist(mine, create, signal);
    seen.id = id;
    seen.disorder = disorderOf(await follow(mine, id, signal));
    seen.video = await persist(mine, (client) => download(client, id, signal), signal, mayPass);
  } catch (error) {
    seen.trouble = (error as Error).message;
  }
  return seen;
}

/** SHA-256 of a job's video as a gateway sends it. */
async function download({ client }: TestClient, id: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for await (const { data } of client.downloadVideo({ id, file: VideoFile.VIDEO_FILE_VIDEO }, { signal })) {
    hash.update(data);
  }
  return hash.digest('hex');
}

/** A bucket that lies about a file may give it the next time. */
function mayPass({ code }: FusionError): boolean {
  return code === Status.UNAVAILABLE || code === Status.DATA_LOSS;
}

function disorderOf(changes: readonly WatchVideoResponse[]): string[] {
  const wrong = changes.findIndex(({ resumeToken }, index) => Number(resumeToken) !== index + 1);
  return wrong === -1 ? [] : [`its watcher received change ${changes[wrong]!.resumeToken} as number ${wrong + 1}`];
}

/** Makes every variant once, undisturbed; returns the hashes of their files. */
export async function undisturbedFiles(
  fleet: Fleet,
  apiKey: string,
  minutes: number,
  interrupted: AbortSignal,
): Promise<JobHistory['files'][]> {
  const { signal, end } = timeLimit(minutes * 60_000, interrupted);
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
