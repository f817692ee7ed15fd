import type { Preset, Presets, Variant, Video } from './wire.ts';

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

/** The preset of a video's model, whatever its version; the default one if the gateway no longer has that model. */
export function presetOf({ model }: Pick<Video, 'model'>, presets: Presets): Preset {
  return presets.find(({ id }) => id === model) ?? presets.find(({ id }) => model.startsWith(`${id}@`)) ?? presets[0];
}

/** Width and height, pixels. */
export function dimensions({ size }: Pick<Video, 'size'>): [width: number, height: number] {
  const [width, height] = size.split('x').map(Number);
  return [width || 64, height || 64];
}

/** The frame rate with the most frames that the video's preset offers. */
export function highestFrameRate(video: Video, presets: Presets): string {
  return presetOf(video, presets).frame_rates.at(-1)!.name;
}

/** LoRAs as a request names them. */
export function loraText(loras: Video['lora']): string {
  return loras.map(({ name, scale }) => `${name}:${scale}`).join(',');
}
