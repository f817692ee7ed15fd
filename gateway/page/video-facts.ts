import type { Variant, Video } from './wire.ts';

/** Whether the job has ended, however it ended. */
export function isFinished({ status }: Video): boolean {
  return status === 'completed' || status === 'failed';
}

export function isCancelled({ error }: Video): boolean {
  return error?.code === 'cancelled';
}

export function hasFile({ files }: Video, variant: Variant): boolean {
  return files.some((file) => file.variant === variant);
}

/** Width and height, pixels. */
export function dimensions({ size }: Pick<Video, 'size'>): [width: number, height: number] {
  const [width, height] = size.split('x').map(Number);
  return [width || 64, height || 64];
}
