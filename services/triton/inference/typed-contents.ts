import type { InferTensorContents } from '../../../proto/gen/grpc_service.ts';
import { InferTensorContents as Contents } from '../../../proto/gen/grpc_service.ts';
import { invalidField } from '../../kit/errors.ts';
import type { TritonTensor } from '../tensors/triton-tensor.ts';

/** A tensor's elements number by number. Throws INVALID_ARGUMENT for FP16 and BF16, which have no such form. */
export function typedContents(name: string, tensor: TritonTensor): InferTensorContents {
  return Contents.fromPartial(fieldOf(name, tensor));
}

function fieldOf(name: string, { datatype, data }: TritonTensor): Partial<InferTensorContents> {
  switch (datatype) {
    case 'BOOL':
      return { boolContents: Array.from(data, (value) => value !== 0) };
    case 'INT8':
    case 'INT16':
    case 'INT32':
      return { intContents: [...data] };
    case 'UINT8':
    case 'UINT16':
    case 'UINT32':
      return { uintContents: [...data] };
    case 'INT64':
      return { int64Contents: [...data] };
    case 'UINT64':
      return { uint64Contents: [...data] };
    case 'FP32':
      return { fp32Contents: [...data] };
    case 'FP64':
      return { fp64Contents: [...data] };
    case 'BYTES':
      return { bytesContents: [...data] };
    default:
      throw invalidField(`inputs.${name}`, `${datatype} in typed contents`, 'raw contents for FP16 and BF16');
  }
}
