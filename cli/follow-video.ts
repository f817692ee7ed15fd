import { watchMessages } from '../gateway/client/grpc-client.ts';
import type { Video } from '../proto/gen/fusionframes/v1/video.ts';
import type { GatewayClient } from './gateway-client.ts';

/** Every change of a job, see `followChanges`. */
export function followVideo(client: GatewayClient, id: string, signal?: AbortSignal): AsyncGenerator<Video> {
  return watchMessages(client, id, signal);
}
