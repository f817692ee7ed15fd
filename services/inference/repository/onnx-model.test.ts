import { availableParallelism } from 'node:os';
import { expect, test } from '@jest/globals';
import { configFromText } from './read-config.ts';
import { checkSessionParameters, intraOpThreads } from './session-parameters.ts';

const config = (count: string) =>
  configFromText(`name: "m" parameters { key: "intra_op_thread_count" value: { string_value: "${count}" } }`);

test('a configuration sets the threads of a model, but no more than there are processors', () => {
  expect(intraOpThreads(config('1'), 7)).toBe(1);
  expect(intraOpThreads(config('0'), 7)).toBe(0);
  expect(intraOpThreads(config('9999'), 7)).toBe(availableParallelism());
});

test.each([
  ['intra_op_thread_count', '100000', 'a whole number from 0 to 9999'],
  ['intra_op_thread_count', '-1', 'a whole number from 0 to 9999'],
  ['inter_op_thread_count', '-3', 'a whole number from 0 to 9999'],
  ['enable_mem_arena', 'zz', '0 or 1'],
  ['enable_mem_pattern', '', '0 or 1'],
  ['execution_mode', '2', '0 or 1'],
  ['share_session_between_instances', 'maybe', 'true or false'],
  ['memory.enable_memory_arena_shrinkage', 'tpu:0', 'devices such as cpu:0;gpu:0'],
])('the parameter %s must not be %j', (key, text, mustBe) => {
  const given = configFromText(`name: "m" parameters { key: "${key}" value { string_value: "${text}" } }`);
  const message = `parameter '${key}' of model 'm': must be ${mustBe} (got '${text}')`;
  expect(() => checkSessionParameters(given)).toThrow(message);
});

test('parameters that only clients read may have any value', () => {
  const given = configFromText('name: "m" parameters { key: "author" value { string_value: "zz" } }');
  expect(() => checkSessionParameters(given)).not.toThrow();
});
