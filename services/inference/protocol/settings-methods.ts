import type { GRPCInferenceServiceImplementation } from '../../../proto/gen/grpc_service.ts';
import { unavailable } from '../errors.ts';
import type { InferenceServerState } from './state.ts';

type Methods = Pick<GRPCInferenceServiceImplementation, 'traceSetting' | 'logSettings'>;

export function settingsMethods({ logSettings }: InferenceServerState): Methods {
  return {
    async traceSetting() {
      throw unavailable('the server does not support trace');
    },
    async logSettings({ settings }) {
      if (Object.keys(settings).length > 0) {
        logSettings.update(settings);
      }
      return { settings: logSettings.values() };
    },
  };
}
