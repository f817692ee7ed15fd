import { keyframeEncoder } from './keyframe-encoder.ts';
import { modelNames, type Preset } from './preset.ts';
import { modelsOfStage, type StageName, stageNames } from './stages.ts';

/** Names of the models that a stage may call for a preset, whichever of them its repository has. */
export function calledModels(stage: StageName, preset: Preset): readonly string[] {
  if (stage !== 'keyframes') {
    return modelsOfStage(stage);
  }
  // It also encodes given keyframes, and decodes things that it places side by side.
  const decoder = preset.things ? [modelNames.decoder] : [];
  return [...new Set([...modelsOfStage(stage), keyframeEncoder(preset).name, ...decoder])];
}

/** Stages that run one of these models as their own. */
export function stagesOf(models: readonly string[]): readonly StageName[] {
  return stageNames.filter((stage) => modelsOfStage(stage).some((model) => models.includes(model)));
}

/** What an inference server needs for stages that run changed models: those, and all others that the same stages call. */
export function modelsToServe(changed: readonly string[], preset: Preset): ReadonlySet<string> {
  return new Set([...changed, ...stagesOf(changed).flatMap((stage) => calledModels(stage, preset))]);
}
