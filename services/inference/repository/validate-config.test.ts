import { expect, test } from '@jest/globals';
import { configFromText } from './read-config.ts';
import { ignoredFields, validateConfig } from './validate-config.ts';

test.each([
  ['response_cache { enable: true }', 'response_cache'],
  ['instance_group [ { kind: KIND_CPU rate_limiter { priority: 1 } } ]', 'instance_group.rate_limiter'],
  ['optimization { graph { level: 1 } }', 'optimization.graph'],
  ['instance_group [ { host_policy: "policy_0" } ]', 'instance_group.host_policy'],
  ['instance_group [ { profile: "1" } ]', 'instance_group.profile'],
  ['instance_group [ { secondary_devices { kind: KIND_NVDLA } } ]', 'instance_group.secondary_devices'],
  ['ensemble_scheduling { step { model_namespace: "n" } }', 'ensemble_scheduling.step.model_namespace'],
  ['ensemble_scheduling { max_inflight_requests: 2 }', 'ensemble_scheduling.max_inflight_requests'],
  ['parameters { key: "enable_mem_arena" value { string_value: "0" } }', 'parameters.enable_mem_arena'],
  ['cc_model_filenames { key: "9.0" value: "hopper.onnx" }', 'cc_model_filenames'],
])('ignored fields are reported: %s', (text, field) => {
  expect(ignoredFields(configFromText(text))).toEqual([field]);
  expect(ignoredFields(configFromText('max_batch_size: 1'))).toEqual([]);
});

test('an ensemble has a bounded number of steps', () => {
  const ensemble = (steps: number) =>
    configFromText(
      `name: "e" platform: "ensemble" ensemble_scheduling { ${'step { model_name: "m" } '.repeat(steps)} }`,
    );
  expect(() => validateConfig(ensemble(1000), 'e')).not.toThrow();
  expect(() => validateConfig(ensemble(1001), 'e')).toThrow("ensemble 'e' must have at most 1000 steps (got 1001)");
});
