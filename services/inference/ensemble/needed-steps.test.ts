import { expect, test } from '@jest/globals';
import { ModelConfig } from '../../../proto/gen/model_config.ts';
import { neededSteps } from './needed-steps.ts';

/** A → first → s → second → C, and A → other → D. */
const config = (...outputs: string[]) =>
  ModelConfig.fromPartial({
    output: outputs.map((name) => ({ name })),
    schedulingChoice: {
      $case: 'ensembleScheduling',
      value: {
        step: [
          { modelName: 'first', inputMap: { X: 'A' }, outputMap: { Y: 's' } },
          { modelName: 'second', inputMap: { X: 's' }, outputMap: { Y: 'C' } },
          { modelName: 'other', inputMap: { X: 'A' }, outputMap: { Y: 'D' } },
        ],
      },
    },
  });
const needed = (outputs: string[], wanted: string[]) =>
  [...neededSteps(config(...outputs), wanted)].map(({ modelName }) => modelName);

test('all steps for all outputs, only those of the wanted ones otherwise', () => {
  expect(needed(['C', 'D'], ['C', 'D'])).toEqual(['first', 'second', 'other']);
  expect(needed(['C', 'D'], ['C'])).toEqual(['first', 'second']);
  expect(needed(['C', 'D'], ['D'])).toEqual(['other']);
});

test('a step with an unwanted output is skipped even if another step reads it, as in Triton', () => {
  expect(needed(['s', 'C', 'D'], ['C'])).toEqual(['second']);
});
