import sharp from 'sharp';
import type { Film } from './film.ts';
import type { JudgedThing, Verdict } from './judge.ts';

/** A row of the sheet: a prompt, frames of its video, and what the detector saw. */
export interface SheetRow {
  prompt: string;
  /** Frames, uint8 [size, size, 3]; the same number and size in every row. */
  film: Film;
  verdict: Verdict;
}

const tile = 64;
const gap = 3;
const textWidth = 500;
const lineHeight = 15;
const green = '#1a7f37';
const red = '#cf222e';

/** Indices of the `count` frames that represent a film of `frames` frames. */
export function sampleFrames(frames: number, count: number): number[] {
  const last = Math.min(count, frames) - 1;
  return Array.from({ length: last + 1 }, (_, index) => Math.round((index * (frames - 1)) / Math.max(1, last)));
}

/** Draws all rows, one below the other, as a PNG file. */
export async function writeContactSheet(path: string, rows: readonly SheetRow[]): Promise<void> {
  const columns = Math.max(...rows.map(({ film }) => film.frames.length));
  const width = textWidth + columns * (tile + gap);
  const strips: Buffer[] = [];
  for (const [index, row] of rows.entries()) {
    strips.push(await drawRow(row, index, width));
  }
  const raw = { width, height: rows.length * (tile + gap), channels: 3 } as const;
  await sharp(Buffer.concat(strips), { raw }).png().toFile(path);
}

/** uint8 [tile + gap, width, 3]. */
async function drawRow(row: SheetRow, index: number, width: number): Promise<Buffer> {
  const pictures = await Promise.all(
    row.film.frames.map(async (frame, column) => ({
      input: await scaled(frame, row.film.size),
      left: textWidth + column * (tile + gap),
      top: 0,
    })),
  );
  const text = { input: Buffer.from(rowText(row, index)), left: 0, top: 0 };
  return sharp({ create: { width, height: tile + gap, channels: 3, background: '#ffffff' } })
    .composite([text, ...pictures])
    .removeAlpha()
    .raw()
    .toBuffer();
}

function scaled(frame: Uint8Array, size: number): Promise<Buffer> {
  const picture = sharp(frame, { raw: { width: size, height: size, channels: 3 } });
  return picture
    .resize(tile, tile, { kernel: size < tile ? 'nearest' : 'lanczos3' })
    .png()
    .toBuffer();
}

function rowText({ prompt, verdict }: SheetRow, index: number): string {
  const colour = verdict.isRight ? green : red;
  // Drawn, because not every font has these signs.
  const mark = verdict.isRight ? 'M9 33 l6 7 l11 -16' : 'M10 24 l14 14 M24 24 l-14 14';
  const lines = wrap(`${index + 1}. ${prompt}`, 61).slice(0, 2);
  const texts = lines.map(
    (line, i) => `<text x="38" y="${14 + i * lineHeight}" class="prompt">${escapeXml(line)}</text>`,
  );
  const seen = seenLines(verdict).map(
    (line, i) => `<text x="38" y="${14 + (lines.length + i) * lineHeight}">${line}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${textWidth}" height="${tile}">
<style>text { font: 12px sans-serif; fill: #1f2328 } .prompt { font-weight: bold } .right { fill: ${green} }
.wrong { fill: ${red}; font-weight: bold; text-decoration: underline }</style>
<rect width="4" height="${tile}" fill="${colour}"/>
<path d="${mark}" fill="none" stroke="${colour}" stroke-width="3"/>
${[...texts, ...seen].join('\n')}</svg>`;
}

/** What was seen, one line per thing; mistakes are highlighted. */
function seenLines({ seen, scene, things, right }: Verdict): string[] {
  const background = marked(seen.background, right.background);
  const count = right.count ? '' : marked(`${seen.count} instead of ${scene.things.length}`, false);
  return things.map((thing, index) =>
    [
      index === 0 ? 'seen:' : 'and',
      ...thingWords(thing),
      ...(index === things.length - 1 ? ['on', background, count] : []),
    ]
      .join(' ')
      .trim(),
  );
}

function thingWords({ seen, right }: JudgedThing): string[] {
  if (!seen) {
    return [marked('nothing', false)];
  }
  const [size, colour, shape, motion] = (['size', 'colour', 'shape', 'motion'] as const).map((trait) =>
    marked(seen[trait] ?? 'no clear motion', right[trait]),
  ) as [string, string, string, string];
  return [size, colour, `${shape},`, motion];
}

function marked(word: string, isRight: boolean): string {
  return `<tspan class="${isRight ? 'right' : 'wrong'}">${escapeXml(word)}</tspan>`;
}

function wrap(text: string, maxLength: number): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = `${lines.at(-1)} ${word}`.trimStart();
    if (line.length <= maxLength) {
      lines.splice(-1, 1, line);
    } else {
      lines.push(word);
    }
  }
  return lines;
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
