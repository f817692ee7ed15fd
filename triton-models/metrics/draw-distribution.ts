import { EigenvalueDecomposition } from 'ml-matrix';
import sharp from 'sharp';
import { leftMargin, sheetWidth, stack, svg, text } from './draw-sheet.ts';
import { type FeatureRows, rowCount } from './feature-rows.ts';
import { FeatureStatistics } from './feature-statistics.ts';

const height = 640;
const margin = 48;
const colours = { real: '#0969da', generated: '#cf222e' };

/** Draws both sets of features along their first two principal components, PNG. */
export async function drawDistribution(
  path: string,
  title: string,
  real: FeatureRows,
  generated: FeatureRows,
): Promise<void> {
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
  const strip = await sharp(Buffer.from(drawing)).flatten({ background: '#ffffff' }).png().toBuffer();
  await stack(path, [strip]);
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
