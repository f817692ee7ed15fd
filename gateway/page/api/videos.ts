import type { VideoRequest } from '../compose/form-request.ts';
import type { Preset, Presets, Video, VideoPage } from '../wire.ts';
import { ApiError } from './api-error.ts';
import { readPage, readPreset, readVideo } from './objects.ts';
import { request, requestJson } from './request.ts';

/** Attempts to create a video if the answer is lost, and the pause between them in milliseconds. */
const createAttempts = 4;
const createPause = 1000;

/** One preset per model; the first is that of the default model. */
export async function loadPresets(): Promise<Presets> {
  const { data } = await requestJson<{ data: Preset[] }>('v1/presets');
  const [first, ...others] = data.map(readPreset);
  if (!first) {
    throw new ApiError(500, 'The gateway has no model');
  }
  return [first, ...others];
}

/**
 * Creates a job. Retries after a lost answer use the same idempotency key, so that one click never makes two videos.
 */
export function createVideo(video: VideoRequest): Promise<Video> {
  return createOnce('v1/videos', video);
}

async function createOnce(path: string, body: object): Promise<Video> {
  const headers = { 'content-type': 'application/json', 'idempotency-key': randomId() };
  for (let attempt = 1; ; attempt++) {
    try {
      return readVideo(await requestJson(path, { method: 'POST', headers, body: JSON.stringify(body) }));
    } catch (error) {
      if (!(error instanceof ApiError && error.passes) || attempt === createAttempts) {
        throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, createPause));
    }
  }
}

/** Newest first. `after`: the last id of the page before. */
export async function listVideos(limit: number, after?: string): Promise<VideoPage> {
  const query = new URLSearchParams({ limit: String(limit), ...(after && { after }) });
  return readPage(await requestJson(`v1/videos?${query}`));
}

export async function getVideo(id: string): Promise<Video> {
  return readVideo(await requestJson(videoPath(id)));
}

/** Goes on from a video's keyframes with a higher frame rate. */
export function finishVideo(id: string, frameRate: string): Promise<Video> {
  return createOnce(`${videoPath(id)}/finish`, { frame_rate: frameRate });
}

export async function cancelVideo(id: string): Promise<Video> {
  return readVideo(await requestJson(`${videoPath(id)}/cancel`, { method: 'POST' }));
}

export async function deleteVideo(id: string): Promise<void> {
  await request(videoPath(id), { method: 'DELETE' });
}

export function videoPath(id: string): string {
  return `v1/videos/${encodeURIComponent(id)}`;
}

/** 128 random bits. Pages have `crypto.randomUUID` only over HTTPS and on localhost. */
function randomId(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
