import { randomUUID } from 'node:crypto';
import { Status } from 'nice-grpc-common';
import {
  type CreateVideoRequest,
  type DeepPartial,
  JobState,
  type Video,
  type VideoSettings,
} from '../proto/gen/fusionframes/v1/video.ts';
import { repeatable } from '../services/kit/channel.ts';
import { FusionError } from '../services/kit/errors.ts';
import { followVideo } from './follow-video.ts';
import type { GatewayClient } from './gateway-client.ts';
import { stageName } from './progress.ts';

/**
 * Creates a job and follows it to its end, calling `onUpdate` for every change. An abort cancels the job before this throws.
 * Throws the job's failure.
 */
export async function runJob(
  client: GatewayClient,
  settings: VideoSettings,
  signal: AbortSignal,
  onUpdate: (video: Video) => void,
): Promise<Video> {
  // Not aborted: only the response says which job to cancel.
  const created = await createVideo(client, { settings });
  const { id } = created;
  const cancel = () => void client.cancelVideo({ id }).catch(() => {});
  signal.addEventListener('abort', cancel, { once: true });
  if (signal.aborted) {
    cancel();
  }
  try {
    let last = created;
    for await (const video of followVideo(client, id)) {
      last = video;
      onUpdate(last);
    }
    return finished(last);
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

/** Creates a job exactly once, even if the first answer is lost. */
export async function createVideo(
  client: GatewayClient,
  request: Pick<DeepPartial<CreateVideoRequest>, 'settings' | 'priority'>,
): Promise<Video> {
  const { video } = await client.createVideo({ ...request, clientId: randomUUID() }, repeatable);
  return video as Video;
}

/** The job if it succeeded; throws its failure or cancellation otherwise. */
export function finished(video: Video): Video {
  if (video.state === JobState.JOB_STATE_SUCCEEDED) {
    return video;
  }
  if (video.state === JobState.JOB_STATE_CANCELLED) {
    throw new FusionError(Status.CANCELLED, `job ${video.id} was cancelled`);
  }
  const { failure } = video;
  if (!failure) {
    throw new FusionError(Status.UNAVAILABLE, `the gateway went away before job ${video.id} had ended`);
  }
  const code = Status[failure.code as keyof typeof Status] ?? Status.UNKNOWN;
  throw new FusionError(code, `${stageName(failure.stage)}: ${failure.reason}`);
}

/** Writes each warning of jobs once. */
export function warningsDisplay(output: NodeJS.WriteStream): (video: Video) => void {
  const shown = new Set<string>();
  return ({ warnings }) => {
    for (const warning of warnings.filter((text) => !shown.has(text))) {
      shown.add(warning);
      output.write(`warning: ${warning}\n`);
    }
  };
}
