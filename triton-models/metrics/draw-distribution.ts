import { EigenvalueDecomposition } from 'ml-matrix';
import sharp from 'sharp';
import { endsOf, leftMargin, scaled, sheetWidth, stack, svg, text } from './draw-sheet.ts';
import { type FeatureRows, rowCount } from './feature-rows.ts';
import { FeatureStatistics } from './feature-statistics.ts';
import { type JudgeWeights, withWeights } from './judge-weights.ts';
import { nearestRows } from './nearest-rows.ts';
import { type Clip, firstFrames } from './open-clip.ts';
import type { Protocol } from './protocol.ts';
import { framesNeeded } from './sample-clip.ts';

const height = 640;
const margin = 48;
const colours = { real: '#0969da', generated: '#cf222e' };

const side = 104;
const gap = 6;
const shownFrames = 4;
const shownPairs = 3;
const rowHeight = side + 40;

/** Videos and what the network made of them, one row each. */
export interface VideoSet {
  clips: readonly SeenClip[];
  features: FeatureRows;
}

export interface SeenClip {
  name: string;
  clip: Clip;
  /** Number of the first frame that the network saw. */
  start: number;
}

/**
 * Draws both sets of features along their first two principal components, then frames of the generated videos that are
 * farthest from and nearest to a real one by their features, each beside that one. PNG.
 */
export async function drawDistribution(
  path: string,
  title: string,
  sets: { real: VideoSet; generated: VideoSet },
  { weights, protocol }: { weights: JudgeWeights; protocol: Pick<Protocol, 'frames' | 'stride'> },
): Promise<void> {
  const { real, generated } = sets;
  const strips = [await drawFeatures(title, real.features, generated.features)];
  const sorted = nearestRows(generated.features, real.features).sort((a, b) => b.distance - a.distance);
  const { first, last } = endsOf(sorted, shownPairs);
  const rows = [
    ...first.map((pair) => ({ pair, kind: 'least like a real one' })),
    ...last.map((pair) => ({ pair, kind: 'most like a real one' })),
  ];
  for (const { pair, kind } of rows) {
    const [made, nearest] = [generated.clips[pair.row]!, real.clips[pair.nearest]!];
    const title = `${kind}: generated ${made.name}, beside real ${nearest.name}, distance of the features ${withWeights(pair.distance.toPrecision(4), weights)}`;
    strips.push(await drawNeighbours([made, nearest], title, framesNeeded(protocol)));
  }
  await stack(path, strips);
}

/** Frames of two videos side by side, spread over what the network saw. */
async function drawNeighbours(pair: readonly SeenClip[], title: string, seen: number): Promise<Buffer> {
  const pictures: { input: Buffer; left: number; top: number }[] = [];
  for (const [index, { clip, start }] of pair.entries()) {
    const wanted = Array.from(
      { length: shownFrames },
      (_, i) => start + Math.round((i * (seen - 1)) / (shownFrames - 1)),
    );
    let frame = 0;
    for await (const picture of firstFrames(clip, start + seen)) {
      const at = wanted.indexOf(frame++);
      if (at >= 0) {
        const left = leftMargin + (index * shownFrames + at) * (side + gap) + index * gap;
        pictures.push({ input: await scaled(picture, clip, side), left, top: 30 });
      }
    }
  }
  return sharp({ create: { width: sheetWidth, height: rowHeight, channels: 3, background: '#ffffff' } })
    .composite([{ input: Buffer.from(svg(rowHeight, text(leftMargin, 20, title))), left: 0, top: 0 }, ...pictures])
    .png()
    .toBuffer();
}

async function drawFeatures(title: string, real: FeatureRows, generated: FeatureRows): Promise<Buffer> {
  const project = mainDirections(real, generated);
  const points = [
    ...project(real).map((point) => ({ point, colour: colours.real })),
    ...project(generated).map((point) => ({ point, colour: colours.generated })),
  ];
  const scaleOf = (axis: 0 | 1, from: number, to: number) => {
    const values = points.map(({ point }) => point[axis]);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return (value: number) => from + ((value - low) / (high - low || 1)) * (to - from);
  };
  const [x, y] = [scaleOf(0, leftMargin, sheetWidth - margin), scaleOf(1, height - margin, margin + 30)];
  const dots = points.map(
    ({ point, colour }) =>
      `<circle cx="${x(point[0]).toFixed(1)}" cy="${y(point[1]).toFixed(1)}" r="3" fill="${colour}" fill-opacity="0.5"/>`,
  );
  const legend = `<tspan fill="${colours.real}">● ${rowCount(real)} real</tspan>  <tspan fill="${colours.generated}">● ${rowCount(generated)} generated</tspan>`;
  const drawing = svg(
    height,
    text(leftMargin, 20, title),
    `<text x="${leftMargin}" y="40" font-family="sans-serif" font-size="12">${legend}</text>`,
    ...dots,
    text(leftMargin, height - 12, 'first two principal components of the features, one dot per video'),
  );
  return sharp(Buffer.from(drawing)).flatten({ background: '#ffffff' }).png().toBuffer();
}

/** Projects rows onto the first two principal components of all features. */
function mainDirections(real: FeatureRows, generated: FeatureRows) {
  const { width } = real;
  const values = new Float64Array(real.values.length + generated.values.length);
  values.set(real.values);
  values.set(generated.values, real.values.length);
  const all = FeatureStatistics.of({ width, values });
  const { eigenvectorMatrix: vectors } = new EigenvalueDecomposition(all.covariance(), { assumeSymmetric: true });
  // Eigenvalues are in ascending order.
  const directions = [width - 1, Math.max(0, width - 2)].map((column) => vectors.getColumn(column));
  return ({ values: rows }: FeatureRows): [number, number][] =>
    Array.from({ length: rows.length / width }, (_, row) => {
      const along = (direction: number[]) =>
        direction.reduce((sum, weight, i) => sum + weight * (rows[row * width + i]! - all.mean[i]!), 0);
      return directions.map(along) as [number, number];
    });
}
