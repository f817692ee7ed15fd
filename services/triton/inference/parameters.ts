import type { InferParameter } from '../../../proto/gen/grpc_service.ts';
import { invalidField } from '../../kit/errors.ts';

/** A parameter's value: `bigint` is sent as a 64-bit integer, `number` as a double. */
export type ParameterValue = boolean | bigint | number | string;

export type Parameters = Record<string, ParameterValue>;

export function toWireParameters(parameters: Parameters): Record<string, InferParameter> {
  return Object.fromEntries(
    Object.entries(parameters).map(([name, value]) => [name, { parameterChoice: choiceOf(name, value) }]),
  );
}

/** Parameters without a value are left out. */
export function fromWireParameters(parameters: Record<string, InferParameter>): Parameters {
  return Object.fromEntries(
    Object.entries(parameters).flatMap(([name, { parameterChoice: choice }]) => (choice ? [[name, choice.value]] : [])),
  );
}

function choiceOf(name: string, value: ParameterValue): NonNullable<InferParameter['parameterChoice']> {
  switch (typeof value) {
    case 'boolean':
      return { $case: 'boolParam', value };
    case 'bigint':
      return { $case: 'int64Param', value };
    case 'number':
      return { $case: 'doubleParam', value };
    case 'string':
      return { $case: 'stringParam', value };
    default:
      throw invalidField(`parameters.${name}`, typeof value, 'a boolean, bigint, number or string');
  }
}
