import type { NetworkInterface, TensorSpec } from '../pipeline/networks/network-interface.ts';
import type { DataType } from '../pipeline/tensor.ts';

/** A tensor that a stage sends or reads; −1 stands for a variable dimension. Includes the batch axis. */
export interface ExpectedTensor<T extends DataType = DataType> {
  dataType: T;
  shape: readonly number[];
}

/** What a stage needs of its model. */
export interface ExpectedModel<Network extends NetworkInterface = NetworkInterface> {
  name: string;
  /** Maximum number of items that the stage sends in one request. */
  largestBatch: number;
  inputs: ExpectedTensors<Network['inputs']>;
  outputs: ExpectedTensors<Network['outputs']>;
}

type ExpectedTensors<Specs extends NetworkInterface['inputs']> = {
  readonly [Name in keyof Specs]: ExpectedTensor<Specs[Name]['dataType']>;
};

/** What a stage needs of a model with this interface. */
export function expectNetwork<Network extends NetworkInterface>(
  name: string,
  largestBatch: number,
  { inputs, outputs }: Network,
): ExpectedModel<Network> {
  return {
    name,
    largestBatch,
    inputs: mapValues(inputs, expectTensor) as ExpectedModel<Network>['inputs'],
    outputs: mapValues(outputs, expectTensor) as ExpectedModel<Network>['outputs'],
  };
}

function expectTensor({ dataType, shape }: TensorSpec): ExpectedTensor {
  return { dataType, shape: shape.map((size) => (typeof size === 'number' ? size : -1)) };
}

function mapValues<A, B>(record: Readonly<Record<string, A>>, map: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]));
}
