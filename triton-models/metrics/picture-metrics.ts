/** How alike two pictures are. */
export interface Likeness {
  /** Mean squared difference of values in 0…1. */
  mse: number;
  /** Peak signal-to-noise ratio, dB; Infinity for equal pictures. */
  psnr: number;
  /** Structural similarity, at most 1. */
  ssim: number;
}

export const likenessNames = ['mse', 'psnr', 'ssim'] as const;

const channels = 3;
/** Gaussian window of the original SSIM: sigma 1.5, cut at 3.5 sigma. */
const sigma = 1.5;
const radius = 5;
const window = gaussian();
// For bytes: their range is 255.
const [c1, c2] = [(0.01 * 255) ** 2, (0.03 * 255) ** 2];

/** The shortest side that SSIM's window fits into, pixels. */
export const minPictureSide = window.length;

/**
 * Compares two pictures, each uint8 [height, width, 3], on values in 0…1. SSIM (Wang et al., 2004) has the Gaussian window
 * of the original with population covariances, is the mean over the channels, and leaves out the border that the window
 * does not fit into: scikit-image's `structural_similarity` with `gaussian_weights`.
 */
export function comparePictures(a: Uint8Array, b: Uint8Array, width: number, height: number): Likeness {
  const mse = meanSquaredError(a, b);
  return { mse, psnr: -10 * Math.log10(mse), ssim: structuralSimilarity(a, b, width, height) };
}

function meanSquaredError(a: Uint8Array, b: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) {
    sum += (a[i]! - b[i]!) ** 2;
  }
  return sum / a.length / 255 ** 2;
}

function structuralSimilarity(a: Uint8Array, b: Uint8Array, width: number, height: number): number {
  let sum = 0;
  for (let channel = 0; channel < channels; channel++) {
    sum += planeSimilarity(rowMoments(a, b, channel, width, height), width - 2 * radius, height);
  }
  return sum / channels;
}

/** Weighted sums along rows of x, y, x², y² and xy, interleaved by five: [height, width − 10, 5]. */
const moments = 5;

/** The horizontal half of the window, over one channel. */
function rowMoments(a: Uint8Array, b: Uint8Array, channel: number, width: number, height: number): Float64Array {
  const columns = width - 2 * radius;
  const sums = new Float64Array(height * columns * moments);
  let at = 0;
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < columns; column++) {
      let x = 0;
      let y = 0;
      let xx = 0;
      let yy = 0;
      let xy = 0;
      let pixel = (row * width + column) * channels + channel;
      for (let k = 0; k < window.length; k++) {
        const weight = window[k]!;
        const p = a[pixel]!;
        const q = b[pixel]!;
        x += weight * p;
        y += weight * q;
        xx += weight * p * p;
        yy += weight * q * q;
        xy += weight * p * q;
        pixel += channels;
      }
      sums[at++] = x;
      sums[at++] = y;
      sums[at++] = xx;
      sums[at++] = yy;
      sums[at++] = xy;
    }
  }
  return sums;
}

/** The vertical half of the window, and the mean of the similarities wherever the window fits. */
function planeSimilarity(sums: Float64Array, columns: number, height: number): number {
  const rows = height - 2 * radius;
  const stride = columns * moments;
  let total = 0;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      let x = 0;
      let y = 0;
      let xx = 0;
      let yy = 0;
      let xy = 0;
      let at = row * stride + column * moments;
      for (let k = 0; k < window.length; k++) {
        const weight = window[k]!;
        x += weight * sums[at]!;
        y += weight * sums[at + 1]!;
        xx += weight * sums[at + 2]!;
        yy += weight * sums[at + 3]!;
        xy += weight * sums[at + 4]!;
        at += stride;
      }
      const variances = xx - x * x + yy - y * y;
      const covariance = xy - x * y;
      total += ((2 * x * y + c1) * (2 * covariance + c2)) / ((x * x + y * y + c1) * (variances + c2));
    }
  }
  return total / (rows * columns);
}

function gaussian(): Float64Array {
  const weights = Float64Array.from({ length: 2 * radius + 1 }, (_, i) =>
    Math.exp(-((i - radius) ** 2) / (2 * sigma ** 2)),
  );
  const sum = weights.reduce((total, weight) => total + weight);
  return weights.map((weight) => weight / sum);
}
