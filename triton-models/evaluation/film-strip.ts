import sharp from 'sharp';
import type { Film } from './film.ts';

/** A film as text: a PNG in base64 with its frames one below the other. Nothing is lost. */
export async function toFilmStrip({ size, frames }: Film): Promise<string> {
  const raw = { width: size, height: frames.length * size, channels: 3 } as const;
  const png = await sharp(Buffer.concat(frames), { raw }).png().toBuffer();
  return png.toString('base64');
}

/** The reverse of {@link toFilmStrip}. */
export async function fromFilmStrip(strip: string): Promise<Film> {
  const { data, info } = await sharp(Buffer.from(strip, 'base64')).raw().toBuffer({ resolveWithObject: true });
  const { width: size, height } = info;
  const bytes = size * size * 3;
  const frames = Array.from({ length: height / size }, (_, frame) => data.subarray(frame * bytes, (frame + 1) * bytes));
  return { size, frames };
}
