import type { DataType, Tensor } from '../tensor.ts';

/** Size of an axis: a number, or a name such as `frames` if it varies between calls. */
export type Dimension = number | string;

/** An input or output of a network. */
export interface TensorSpec<T extends DataType = DataType> {
  dataType: T;
  /** The batch axis first. */
  shape: readonly Dimension[];
}

/** The inputs and outputs of a served network, by name and in order. */
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
