import { apiKey } from '../face/api-key.ts';
import type { Video, VideoRequest } from '../wire.ts';

/** The request as a command for a POSIX shell. The API key is left for the shell's environment to fill in. */
export function toCurl(request: VideoRequest): string {
  const lines = [
    `curl ${new URL('v1/videos', document.baseURI)}`,
    ...(apiKey() ? ['-H "Authorization: Bearer $FUSIONFRAMES_API_KEY"'] : []),
    "-H 'Content-Type: application/json'",
    `-d ${quote(JSON.stringify(request, null, 2))}`,
  ];
  return lines.join(' \\\n  ');
}

/** The request that makes a job's video again: everything that was left open is filled in. */
export function requestOf(video: Video): VideoRequest {
  return {
    prompt: video.prompt,
    ...(video.negative_prompt && { negative_prompt: video.negative_prompt }),
    frame_rate: video.frame_rate,
    size: video.size,
    seed: video.seed,
    steps: video.keyframes.steps,
    guidance_scale: video.keyframes.guidance_scale,
    sampler: video.keyframes.sampler,
    interpolation_steps: video.interpolation.steps,
    interpolation_guidance_scale: video.interpolation.guidance_scale,
    interpolation_sampler: video.interpolation.sampler,
    format: video.format,
    previews: true,
  };
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
