import type { JsonObject, JsonValue } from '@bufbuild/protobuf';

/**
 * Raw outputs in a form to compare: floats by value, so that all NaN are the same and −0 is 0; everything else, and
 * whatever does not divide into elements, as it is.
 */
export function valuesOfRaw(outputs: readonly JsonObject[], raw: readonly string[]): JsonValue {
  return raw.map((base64, index) => {
    const bytes = Uint8Array.from(Buffer.from(base64, 'base64'));
    const read = readers[String(outputs[index]?.datatype)];
    return read && bytes.byteLength % read.size === 0 ? read.values(bytes.buffer).map(show) : base64;
  });
}

const readers: Record<string, { size: number; values: (buffer: ArrayBuffer) => number[] }> = {
  FP16: { size: 2, values: (buffer) => Array.from(new Uint16Array(buffer), half) },
  BF16: { size: 2, values: (buffer) => Array.from(new Uint16Array(buffer), brainFloat) },
  FP32: { size: 4, values: (buffer) => [...new Float32Array(buffer)] },
  FP64: { size: 8, values: (buffer) => [...new Float64Array(buffer)] },
};

function show(value: number): JsonValue {
  return Number.isFinite(value) ? value + 0 : String(value);
}

function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) {
    return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  }
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function brainFloat(bits: number): number {
  return new Float32Array(Uint32Array.of(bits << 16).buffer)[0]!;
}
