import { expect, test } from '@jest/globals';
import { configFromText } from './read-config.ts';
import { unheededFields } from './validate-config.ts';

test.each([
  ['response_cache { enable: true }', 'response_cache'],
  ['instance_group [ { kind: KIND_CPU rate_limiter { priority: 1 } } ]', 'instance_group.rate_limiter'],
  ['optimization { graph { level: 1 } }', 'optimization.graph'],
  ['cc_model_filenames { key: "9.0" value: "hopper.onnx" }', 'cc_model_filenames'],
])('what is ignored is told: %s', (text, field) => {
  expect(unheededFields(configFromText(text))).toEqual([field]);
  expect(unheededFields(configFromText('max_batch_size: 1'))).toEqual([]);
});
