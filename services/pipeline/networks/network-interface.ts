import type { DataType, Tensor } from '../tensor.ts';

/** Size of an axis: a number, or a name such as `frames` where it varies from call to call. */
export type Dimension = number | string;

/** A tensor that a network takes or gives. */
export interface TensorSpec<T extends DataType = DataType> {
  dataType: T;
  /** The batch axis first. */
  shape: readonly Dimension[];
}

/** What a network takes and gives as it is served, by name and in this order. */
export interface NetworkInterface {
  inputs: Readonly<Record<string, TensorSpec>>;
  outputs: Readonly<Record<string, TensorSpec>>;
}

/** Tensors of these names and types. */
export type TensorsOf<Specs extends Readonly<Record<string, TensorSpec>>> = {
  [Name in keyof Specs]: Tensor<Specs[Name]['dataType']>;
};

export function tensorSpec<T extends DataType>(dataType: T, ...shape: Dimension[]): TensorSpec<T> {
  return { dataType, shape };
}
