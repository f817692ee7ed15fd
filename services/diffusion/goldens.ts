import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../kit/package-root.ts';

/** Tensors of a golden case, by name: float32 only. */
export function goldenTensors(name: string): Map<string, { shape: number[]; data: Float32Array }> {
  const file = readFileSync(join(packageRoot, 'test/fixtures/goldens', name, 'io.safetensors'));
  const start = 8 + Number(file.readBigUInt64LE(0));
  const header: Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }> = JSON.parse(
    file.toString('utf8', 8, start),
  );
  return new Map(
    Object.entries(header)
      .filter(([, entry]) => entry.dtype === 'F32')
      .map(
        ([
          key,
          {
            shape,
            data_offsets: [from, to],
          },
        ]) => [key, { shape, data: new Float32Array(new Uint8Array(file.subarray(start + from, start + to)).buffer) }],
      ),
  );
}

export function maxDifference(actual: Float32Array, expected: Float32Array): number {
  if (actual.length !== expected.length) {
    throw new Error(`${actual.length} values where ${expected.length} are expected`);
  }
  return actual.reduce((largest, value, i) => Math.max(largest, Math.abs(value - expected[i]!)), 0);
}
