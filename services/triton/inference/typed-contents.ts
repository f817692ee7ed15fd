import { InferTensorContents } from '../../../proto/gen/grpc_service.ts';
import { invalidField, inWords } from '../../kit/errors.ts';
import { elementTypeNamed, elementTypes } from '../../pipeline/element-types.ts';
import type { TritonTensor } from '../tensors/triton-tensor.ts';

/** A tensor's elements as typed numbers. Throws INVALID_ARGUMENT for FP16 and BF16, which have no such form. */
export function typedContents(name: string, { datatype, data }: TritonTensor): InferTensorContents {
  const row = elementTypes[elementTypeNamed('triton', datatype)!];
  if (!('contents' in row)) {
    throw invalidField(`inputs.${name}`, inWords(`${datatype} in typed contents`), 'raw contents for FP16 and BF16');
  }
  const elements: readonly unknown[] = [...data];
  const values = datatype === 'BOOL' ? elements.map((value) => value !== 0) : elements;
  return InferTensorContents.fromPartial({ [row.contents]: values });
}
