import type { Variant } from '../wire.ts';
import { ApiError } from './api-error.ts';
import { request } from './request.ts';
import { videoPath } from './videos.ts';

/** A job's file. `<img>`, `<video>` and links cannot send an API key: they get an object URL of these bytes. */
export async function fetchFile(id: string, variant: Variant, signal?: AbortSignal): Promise<Blob> {
  const response = await request(`${videoPath(id)}/content?variant=${variant}`, signal && { signal });
  try {
    return await response.blob();
  } catch {
    signal?.throwIfAborted();
    throw new ApiError(0, 'The download was interrupted.');
  }
}

/** Shows a job's picture in an image element. */
export async function showPicture(image: HTMLImageElement, id: string, variant: Variant): Promise<void> {
  const address = URL.createObjectURL(await fetchFile(id, variant));
  try {
    image.src = address;
    await image.decode();
    image.hidden = false;
  } finally {
    URL.revokeObjectURL(address);
  }
}
