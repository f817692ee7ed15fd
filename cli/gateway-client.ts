import { VideoServiceDefinition } from '../proto/gen/fusionframes/v1/video.ts';
import { type ConnectedClient, type Connection, connect, longCallSeconds } from '../services/kit/channel.ts';

export type GatewayClient = ConnectedClient<VideoServiceDefinition>;

/** {@link longCallSeconds} as a call's `deadline` takes it. */
export const longCall = longCallSeconds * 1000;

/** A client of the gateway at `address`. */
export function gatewayClient(address: string): Connection<VideoServiceDefinition> {
  return connect(VideoServiceDefinition, address);
}
