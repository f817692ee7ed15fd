import { ModelServiceDefinition } from '../../proto/gen/fusionframes/v1/model.ts';
import { type Service, service } from '../kit/serve.ts';
import type { ServedModel } from './served-model.ts';

/** Names a stage's model to its callers. */
export function modelService(model: ServedModel): Service {
  return service(ModelServiceDefinition, {
    async describeModel(_, { signal }) {
      return { model: (await model.identifyRecent(signal)) ?? '' };
    },
  });
}
