import { Status } from 'nice-grpc-common';
import { JobState, type Video, type VideoSettings } from '../proto/gen/fusionframes/v1/video.ts';
import { FusionError } from '../services/kit/errors.ts';
import { type GatewayClient, longCall } from './gateway-client.ts';
import { stageName } from './progress.ts';

/**
 * Creates a job and follows it to its end, telling `onUpdate` of every change. An abort cancels the job everywhere before
 * this throws. Throws what made the job fail.
 */
export async function runJob(
  client: GatewayClient,
  settings: VideoSettings,
  signal: AbortSignal,
  onUpdate: (video: Video) => void,
): Promise<Video> {
  // Not ended by an abort: only the answer tells which job to cancel.
  const { video: created } = await client.createVideo({ settings });
  const id = created?.id as string;
  const cancel = () => void client.cancelVideo({ id }).catch(() => {});
  signal.addEventListener('abort', cancel, { once: true });
  if (signal.aborted) {
    cancel();
  }
  try {
    let last = created as Video;
    for await (const { video } of client.watchVideo({ id }, { deadline: longCall })) {
      last = video as Video;
      onUpdate(last);
    }
    return finished(last);
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

/** The job if it succeeded; its failure as an error otherwise. */
function finished(video: Video): Video {
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

/** Writes each warning of the jobs it is given once. */
export function warningsDisplay(output: NodeJS.WriteStream): (video: Video) => void {
  const shown = new Set<string>();
  return ({ warnings }) => {
    for (const warning of warnings.filter((text) => !shown.has(text))) {
      shown.add(warning);
      output.write(`warning: ${warning}\n`);
    }
  };
}
