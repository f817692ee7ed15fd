import { isFinished, type Video } from '../../gateway/client/video.ts';
import type { VideoClient } from '../../gateway/client/video-client.ts';
import { timeLimit } from '../../services/kit/time-limit.ts';
import { stageLabel } from '../progress.ts';
import { describePlace, isPaused } from '../queue-place.ts';
import type { ToolContext } from './mcp-tool.ts';

/** Follows a video to its end or for `seconds`, whichever comes first. Reports progress to a caller that asked for it. */
export async function followVideo(
  client: VideoClient,
  id: string,
  seconds: number,
  { signal, _meta, sendNotification }: ToolContext,
): Promise<Video> {
  const progressToken = _meta?.progressToken;
  const limit = timeLimit(seconds * 1000, signal);
  let progress = 0;
  let last: Video | undefined;
  const tell = async (message: string) => {
    if (progressToken !== undefined) {
      // A count of the changes, because progress must increase: a video's steps start over with every stage.
      const params = { progressToken, progress: ++progress, message };
      await sendNotification({ method: 'notifications/progress', params });
    }
  };
  const onAbsence = () => void tell('cannot reach the gateway; retrying for a minute').catch(() => {});
  try {
    for await (const video of client.watch(id, { signal: limit.signal, onAbsence })) {
      last = video;
      if (!isFinished(video)) {
        await tell(describe(video));
      }
    }
  } catch (error) {
    if (!limit.isOver) {
      throw error;
    }
  } finally {
    limit.end();
  }
  return last && isFinished(last) ? last : client.get(id, { signal });
}

function describe(video: Video): string {
  const { state, stages, queue } = video;
  const stage = stages.at(-1);
  if (state === 'queued' && queue) {
    return `${isPaused(video) ? 'paused' : 'queued'}: ${describePlace(queue)}`;
  }
  return stage && state === 'running' ? `${stageLabel(stage.stage)} ${stage.step}/${stage.total}` : state;
}
