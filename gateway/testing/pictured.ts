import sharp from 'sharp';
import { loadPreset, type Preset } from '../../services/pipeline/preset.ts';

/** Nano's sizes, with a first frame; for gateways on stage doubles. */
export const pictured: Preset = {
  ...loadPreset('nano'),
  name: 'pictured',
  firstFrame: loadPreset('kandinsky-video-1.1').firstFrame!,
};

const { firstFrame: _, things: __, ...withoutPictures } = loadPreset('nano');

/** Nano, if it took no pictures. */
export const textOnly: Preset = { ...withoutPictures, name: 'text-only' };

/** A PNG file in one colour, by default twice as wide as high. */
export function plainPicture(background: string, width = 200, height = 100): Promise<Buffer> {
  return sharp({ create: { width, height, channels: 3, background } })
    .png()
    .toBuffer();
}
