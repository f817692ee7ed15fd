import { Status } from 'nice-grpc-common';
import type { Video } from '../gateway/client/video.ts';
import type { NewVideo, VideoClient } from '../gateway/client/video-client.ts';
import type { ErrorReason } from '../services/kit/error-reasons.ts';
import { FusionError } from '../services/kit/errors.ts';
import { plainText } from '../services/kit/plain-text.ts';
import { stageLabel } from './progress.ts';
import { followPlace } from './queue-place.ts';
import { VideoFailure } from './video-failure.ts';

/**
 * Creates a job and follows it to its end, calling `onUpdate` for every change, and with its place while it is queued. Calls
 * `onAbsence` when the gateway cannot be reached. An abort cancels the job before this throws. Throws the job's failure.
 */
export async function runJob(
  client: VideoClient,
  request: NewVideo,
  signal: AbortSignal,
  onUpdate: (video: Video) => void,
  onAbsence = () => sayAbsent(),
): Promise<Video> {
  // Not aborted: only the response says which job to cancel.
  const created = await client.create(request);
  const { id } = created;
  const cancel = () => void client.cancel(id).catch(() => {});
  signal.addEventListener('abort', cancel, { once: true });
  if (signal.aborted) {
    cancel();
  }
  const place = followPlace(client, onUpdate);
  try {
    let last = created;
    for await (const video of client.watch(id, { onAbsence })) {
      last = video;
      place.update(last);
    }
    return finished(last);
  } finally {
    place.end();
    signal.removeEventListener('abort', cancel);
  }
}

/** Says that the gateway is away, and that a watch waits for it. */
export function sayAbsent(address?: string): void {
  const where = address === undefined ? '' : ` at ${address}`;
  process.stderr.write(`cannot reach the gateway${where}; retrying for a minute\n`);
}

/** The job if it succeeded; throws its failure or cancellation otherwise. */
export function finished(video: Video): Video {
  const { id, state, failure } = video;
  if (state === 'succeeded') {
    return video;
  }
  if (state === 'cancelled') {
    throw new FusionError(Status.CANCELLED, `job ${id} was cancelled`);
  }
  if (!failure) {
    throw new FusionError(Status.UNAVAILABLE, `the connection to the gateway was lost before job ${id} ended`);
  }
  const code = Status[failure.code as keyof typeof Status] ?? Status.UNKNOWN;
  const subject = failure.stage === null ? '' : `${stageLabel(failure.stage)}: `;
  throw new VideoFailure(code, `${subject}${failure.message}`, { reason: failure.reason as ErrorReason });
}

/** Writes each warning of jobs once. */
export function warningsDisplay(output: NodeJS.WriteStream): (video: Video) => void {
  const shown = new Set<string>();
  return ({ warnings }) => {
    for (const warning of warnings.filter((text) => !shown.has(text))) {
      shown.add(warning);
      output.write(`warning: ${plainText(warning)}\n`);
    }
  };
}
