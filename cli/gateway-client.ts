import { VideoServiceDefinition } from '../proto/gen/fusionframes/v1/video.ts';
import { type ConnectedClient, type Connection, connect } from '../services/kit/channel.ts';

export type GatewayClient = ConnectedClient<VideoServiceDefinition>;

/** Bound, in milliseconds, on calls that last as long as a job or a download: far beyond any of them. */
export const longCall = 7 * 24 * 3600 * 1000;

/** A client of the gateway at `address`. */
export function gatewayClient(address: string): Connection<VideoServiceDefinition> {
  return connect(VideoServiceDefinition, address);
}
