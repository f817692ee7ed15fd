import type { Preset, Video, VideoPage } from '../wire.ts';

/** Fields that gateways of earlier releases leave out: a new page may reach one of them during an upgrade. */
const absentInVideo = { lora: [], given_keyframes: null } satisfies Partial<Video>;
const absentInPreset = { loras: [], input_reference: null, given_keyframes: null } satisfies Partial<Preset>;

export function readVideo(answer: Video): Video {
  return { ...absentInVideo, ...answer };
}

export function readPage({ data, ...page }: VideoPage): VideoPage {
  return { ...page, data: data.map(readVideo) };
}

export function readPreset(answer: Preset): Preset {
  return { ...absentInPreset, ...answer };
}
