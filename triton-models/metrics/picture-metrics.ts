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
const [c1, c2] = [0.01 ** 2, 0.03 ** 2];

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
    const x = planeOf(a, channel);
    const y = planeOf(b, channel);
    const mean = (value: (index: number) => number) =>
      weightedMeans(
        x.map((_, index) => value(index)),
        width,
        height,
      );
    const meanX = mean((i) => x[i]!);
    const meanY = mean((i) => y[i]!);
    const meanXx = mean((i) => x[i]! ** 2);
    const meanYy = mean((i) => y[i]! ** 2);
    const meanXy = mean((i) => x[i]! * y[i]!);
    let planeSum = 0;
    for (const [i, mx] of meanX.entries()) {
      const my = meanY[i]!;
      const variances = meanXx[i]! - mx ** 2 + meanYy[i]! - my ** 2;
      const covariance = meanXy[i]! - mx * my;
      planeSum += ((2 * mx * my + c1) * (2 * covariance + c2)) / ((mx ** 2 + my ** 2 + c1) * (variances + c2));
    }
    sum += planeSum / meanX.length;
  }
  return sum / channels;
}

/** Values in 0…1 of one channel. */
function planeOf(picture: Uint8Array, channel: number): Float64Array {
  return Float64Array.from({ length: picture.length / channels }, (_, i) => picture[i * channels + channel]! / 255);
}

/** Means under the window, wherever it fits: [height − 10, width − 10]. */
function weightedMeans(plane: Float64Array, width: number, height: number): Float64Array {
  const columns = width - 2 * radius;
  const rows = height - 2 * radius;
  const alongRows = new Float64Array(height * columns);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < columns; x++) {
      let sum = 0;
      for (let k = 0; k < window.length; k++) {
        sum += window[k]! * plane[y * width + x + k]!;
      }
      alongRows[y * columns + x] = sum;
    }
  }
  const means = new Float64Array(rows * columns);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      let sum = 0;
      for (let k = 0; k < window.length; k++) {
        sum += window[k]! * alongRows[(y + k) * columns + x]!;
      }
      means[y * columns + x] = sum;
    }
  }
  return means;
}

function gaussian(): Float64Array {
  const weights = Float64Array.from({ length: 2 * radius + 1 }, (_, i) =>
    Math.exp(-((i - radius) ** 2) / (2 * sigma ** 2)),
  );
  const sum = weights.reduce((total, weight) => total + weight);
  return weights.map((weight) => weight / sum);
}
