import { readSettings } from '../../services/kit/settings.ts';
import type { StageName } from '../../services/pipeline/stages.ts';
import { prepareStage, startStage } from '../../services/triton/stage.ts';
import { stageSettings } from '../../services/triton/stage-settings.ts';
import { stageServices } from '../stages.ts';
import type { ServedService } from './served-service.ts';

export function servedStage(name: StageName): ServedService {
  const stage = stageServices[name];
  return {
    settings: [stageSettings, stage.settings],
    loads: ([preset]) => preset.name,
    prepare: ([preset]) => {
      const settings = readSettings(stageSettings);
      const prepared = prepareStage(stage, preset);
      return ({ address, log, tls, scope }) =>
        scope.open((signal) => startStage(prepared, { ...settings, address, log, tls, signal }));
    },
  };
}
