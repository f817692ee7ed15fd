import type { ModelConfig, ModelEnsembling_Step as Step } from '../../../proto/gen/model_config.ts';
import { stepsOf } from './validate-ensemble.ts';

/**
 * The steps that run for a selection of an ensemble's outputs, chosen as Triton does: going back from the unwanted outputs, a
 * step is dropped once all its tensors are, and a tensor once all steps that read it are. An unwanted output therefore drops
 * its step even if a later step reads it.
 */
export function neededSteps(config: ModelConfig, wanted: readonly string[]): Set<Step> {
  const steps = stepsOf(config);
  const needed = new Set(steps);
  const left = new Map(steps.map((step) => [step, Object.keys(step.outputMap).length]));
  const isRead = (tensor: string) => [...needed].some((step) => Object.values(step.inputMap).includes(tensor));
  let unwanted = config.output.map(({ name }) => name).filter((name) => !wanted.includes(name));
  while (unwanted.length > 0) {
    const next = new Set<string>();
    for (const tensor of unwanted) {
      const writer = steps.find((step) => Object.values(step.outputMap).includes(tensor));
      if (writer === undefined || !needed.has(writer)) {
        continue;
      }
      left.set(writer, left.get(writer)! - 1);
      if (left.get(writer) === 0) {
        needed.delete(writer);
        for (const input of Object.values(writer.inputMap).filter((name) => !isRead(name))) {
          next.add(input);
        }
      }
    }
    unwanted = [...next];
  }
  return needed;
}
