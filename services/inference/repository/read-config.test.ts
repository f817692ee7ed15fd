import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { DataType } from '../../../proto/gen/model_config.ts';
import { packageRoot } from '../../kit/package-root.ts';
import { configFromJson, configFromText } from './read-config.ts';

test('every spelling of the text format is read', () => {
  const config = configFromText(`
    # a comment
    name: "model"  platform: 'onnxruntime' "_onnx"
    max_batch_size: 0x8
    input [ { name: "A" data_type: TYPE_FP32 dims: [ 4, -1 ] }, { name: "B"; data_type: 9; dims: 2 } ]
    output { name: "C" data_type: TYPE_BOOL dims: 1 dims: 2 reshape { shape: [ ] } }
    version_policy: { specific: { versions: [ 1, 3 ] } }
    dynamic_batching < max_queue_delay_microseconds: 100 priority_queue_policy { key: 2 value { max_queue_size: 7 } } >
    parameters { key: "intra_op_thread_count" value: { string_value: "2" } }
  `);
  expect(config).toMatchObject({ name: 'model', platform: 'onnxruntime_onnx', maxBatchSize: 8 });
  expect(config.input.map(({ name, dataType, dims }) => [name, dataType, dims])).toEqual([
    ['A', DataType.TYPE_FP32, [4n, -1n]],
    ['B', DataType.TYPE_INT64, [2n]],
  ]);
  expect(config.output[0]).toMatchObject({ dims: [1n, 2n], reshape: { shape: [] } });
  expect(config.versionPolicy?.policyChoice).toEqual({ $case: 'specific', value: { versions: [1n, 3n] } });
  expect(config.schedulingChoice).toMatchObject({ $case: 'dynamicBatching' });
  expect(config.parameters.intra_op_thread_count?.stringValue).toBe('2');
});

test('the configurations of the recorded repository are read', () => {
  const models = join(packageRoot, 'test', 'fixtures', 'triton', 'models');
  const names = readdirSync(models).filter((name) => name !== 'auto_config');
  const read = names.map((name) => configFromText(readFileSync(join(models, name, 'config.pbtxt'), 'utf8')).name);
  expect(read).toEqual(names);
});

test('JSON takes field names in both spellings', () => {
  expect(configFromJson('{"max_batch_size": 2}').maxBatchSize).toBe(2);
  expect(configFromJson('{"maxBatchSize": 2}').maxBatchSize).toBe(2);
});

test.each([
  ['name: "a" nonsense: 1', /nonsense/],
  ['name: "a', /config\.pbtxt/],
  ['input { dims: "four" }', /config\.pbtxt/],
])('%s is refused', (text, message) => {
  expect(() => configFromText(text)).toThrow(message);
});

test('invalid JSON is rejected', () => {
  expect(() => configFromJson('{not json')).toThrow(/^config: /);
  expect(() => configFromJson('{"nosuchfield": 1}')).toThrow(/nosuchfield/);
});
