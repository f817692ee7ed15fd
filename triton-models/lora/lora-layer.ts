import type { StoredTensor } from '../checkpoints/checkpoint.ts';

/** A change of one layer's weight W `[out, in, …kernel]`: W + scale · factor · up · down. */
export interface LoraLayer {
  /** The layer's name in the file: with dots, or with underscores in kohya's files. */
  path: string;
  /** `[rank, in, …kernel]`; `[rank, in, …1]` with `mid`. */
  down: StoredTensor;
  /** `[out, rank, …1]` */
  up: StoredTensor;
  /** The kernel of a convolution in Tucker form, `[rank, rank, …kernel]`. */
  mid?: StoredTensor;
  /** alpha / rank, or what its trainer has instead. */
  factor: number;
}

/** The rank of a layer: how many rows its `down` has. */
export const rankOf = ({ down, mid }: Pick<LoraLayer, 'down' | 'mid'>): number => (mid ?? down).shape[0]!;

/** Whether a layer changes weights of this shape. */
export function fitsWeight({ down, up, mid }: LoraLayer, [out, inputs, ...kernel]: readonly number[]): boolean {
  const [rank, rankOfDown] = [up.shape[1], down.shape[0]];
  const isFlat = (shape: readonly number[]) => shape.slice(2).every((size) => size === 1);
  const hasKernel = (shape: readonly number[]) =>
    shape.slice(2).join() === kernel.join() || (isFlat(shape) && kernel.every((size) => size === 1));
  if (up.shape[0] !== out || down.shape[1] !== inputs || !isFlat(up.shape)) {
    return false;
  }
  return mid === undefined
    ? rankOfDown === rank && hasKernel(down.shape)
    : isFlat(down.shape) && mid.shape[0] === rank && mid.shape[1] === rankOfDown && hasKernel(mid.shape);
}

/** The shape of the weight that a layer changes. */
export function weightShape({ down, up, mid }: LoraLayer): number[] {
  return [up.shape[0]!, down.shape[1]!, ...(mid ?? down).shape.slice(2)];
}
