import { Matrix } from 'ml-matrix';
import type { FeatureRows } from './feature-rows.ts';

/** Mean and sample covariance of feature rows, accumulated one row at a time. */
export class FeatureStatistics {
  readonly width: number;
  readonly mean: Float64Array;
  /** Sum of products of deviations from the mean; the upper triangle alone. */
  readonly #products: Float64Array;
  readonly #deviation: Float64Array;
  #count = 0;

  constructor(width: number) {
    this.width = width;
    this.mean = new Float64Array(width);
    this.#products = new Float64Array(width * width);
    this.#deviation = new Float64Array(width);
  }

  static of({ width, values }: FeatureRows): FeatureStatistics {
    const statistics = new FeatureStatistics(width);
    for (let start = 0; start < values.length; start += width) {
      statistics.add(values.subarray(start, start + width));
    }
    return statistics;
  }

  get count(): number {
    return this.#count;
  }

  /** Welford's update, which is accurate for large means. */
  add(row: Float64Array): void {
    const { width, mean } = this;
    const [products, deviation] = [this.#products, this.#deviation];
    const earlier = this.#count++ / this.#count;
    for (let i = 0; i < width; i++) {
      deviation[i] = row[i]! - mean[i]!;
      mean[i]! += deviation[i]! / this.#count;
    }
    for (let i = 0; i < width; i++) {
      const scaled = deviation[i]! * earlier;
      const start = i * width;
      for (let j = i; j < width; j++) {
        products[start + j]! += scaled * deviation[j]!;
      }
    }
  }

  /** Sample covariance [width, width]: the divisor is the number of rows less one. */
  covariance(): Matrix {
    const { width } = this;
    const covariance = Matrix.zeros(width, width);
    for (let i = 0; i < width; i++) {
      for (let j = i; j < width; j++) {
        const value = this.#products[i * width + j]! / (this.#count - 1);
        covariance.set(i, j, value);
        covariance.set(j, i, value);
      }
    }
    return covariance;
  }
}
