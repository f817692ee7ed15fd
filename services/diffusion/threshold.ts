/** Parameters of thresholding. */
export interface Threshold {
  /** Number of elements per item; each item (a keyframe, or a temporal group of interpolation) has its own limit. */
  itemSize: number;
  /** 0 to 1; if null or absent, the limit is 1. */
  percentile?: number | null;
}

/**
 * Dynamic thresholding (Saharia et al. 2022, section 2.3), in place: of each item, s = max(1, quantile of |x₀|), then
 * x₀ ← clip(x₀, ±s)/s.
 */
export function threshold(denoised: Float32Array, { itemSize, percentile }: Threshold): void {
  for (let start = 0; start < denoised.length; start += itemSize) {
    const item = denoised.subarray(start, start + itemSize);
    const limit = typeof percentile === 'number' ? limitOf(item, percentile) : 1;
    for (let i = 0; i < item.length; i++) {
      item[i] = Math.min(limit, Math.max(-limit, item[i]!)) / limit;
    }
  }
}

/** max(1, quantile of |values|), interpolated linearly between the two neighbouring ranks as torch.quantile does. */
function limitOf(values: Float32Array, quantile: number): number {
  const rank = quantile * (values.length - 1);
  const lower = Math.floor(rank);
  // Values up to 1 cannot move the limit, except the largest of them as the lower neighbour: only the rest is sorted.
  const { large, largestSmall } = splitAtOne(values);
  const small = values.length - large.length;
  if (lower + 1 < small || large.length === 0) {
    return 1;
  }
  large.sort();
  const below = lower < small ? largestSmall : large[lower - small]!;
  const above = large[lower + 1 - small] ?? below;
  return Math.max(1, below + (above - below) * (rank - lower));
}

/** The absolute values above 1, and the largest of the others. */
function splitAtOne(values: Float32Array): { large: Float32Array; largestSmall: number } {
  const large = new Float32Array(values.length);
  let count = 0;
  let largestSmall = 0;
  for (let i = 0; i < values.length; i++) {
    const size = Math.abs(values[i]!);
    if (size > 1) {
      large[count++] = size;
    } else if (size > largestSmall) {
      largestSmall = size;
    }
  }
  return { large: large.subarray(0, count), largestSmall };
}
