import { VideoServiceDefinition } from '../proto/gen/fusionframes/v1/video.ts';
import { type ConnectedClient, type Connection, connect } from '../services/kit/channel.ts';

export type GatewayClient = ConnectedClient<VideoServiceDefinition>;

/** A client of the gateway at `address`. */
export function gatewayClient(address: string): Connection<VideoServiceDefinition> {
  return connect(VideoServiceDefinition, address);
}
