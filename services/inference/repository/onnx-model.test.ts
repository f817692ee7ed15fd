import { availableParallelism } from 'node:os';
import { expect, test } from '@jest/globals';
import { intraOpThreads } from './onnx-model.ts';
import { configFromText } from './read-config.ts';

const config = (count: string) =>
  configFromText(`name: "m" parameters { key: "intra_op_thread_count" value: { string_value: "${count}" } }`);

test('a configuration sets the threads of a model, but no more than there are processors', () => {
  expect(intraOpThreads(config('1'), 7)).toBe(1);
  expect(intraOpThreads(config('0'), 7)).toBe(0);
  expect(intraOpThreads(config('9999'), 7)).toBe(availableParallelism());
  expect(() => intraOpThreads(config('-1'), 7)).toThrow("whole number from 0 to 9999 (got '-1')");
});
