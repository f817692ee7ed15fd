import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { elementsOf } from '../../services/pipeline/element-types.ts';
import { fromBfloat16, fromFloat16 } from '../../services/pipeline/half-floats.ts';
import { byteSizeOf } from '../../services/triton/tensors/datatypes.ts';

/**
 * Raw outputs in a form to compare: floats by value, so that all NaN are the same and −0 is 0; everything else, and
 * whatever does not divide into elements, as it is.
 */
export function valuesOfRaw(outputs: readonly JsonObject[], raw: readonly string[]): JsonValue {
  return raw.map((base64, index) => {
    const bytes = Uint8Array.from(Buffer.from(base64, 'base64'));
    const datatype = String(outputs[index]?.datatype);
    const isWhole = bytes.byteLength % (byteSizeOf(datatype, []) ?? 1) === 0;
    const read = readers[datatype];
    return read && isWhole ? read(bytes).map(show) : base64;
  });
}

const readers: Record<string, (bytes: Uint8Array) => number[]> = {
  FP16: (bytes) => [...fromFloat16(elementsOf('float16', bytes))],
  BF16: (bytes) => [...fromBfloat16(elementsOf('bfloat16', bytes))],
  FP32: (bytes) => [...elementsOf('float32', bytes)],
  FP64: (bytes) => [...elementsOf('float64', bytes)],
};

function show(value: number): JsonValue {
  return Number.isFinite(value) ? value + 0 : String(value);
}
