import { Http2SubchannelConnector } from '@grpc/grpc-js/build/src/transport.js';

/** The parts of a grpc-js connection used here; private in its types. */
interface Http2Transport {
  readonly session: { readonly closed: boolean };
  canSendPing(): boolean;
}

/**
 * Stops grpc-js from pinging a connection on which the server takes no new calls. Node sends no pings on a session that has
 * received GOAWAY; grpc-js takes that for a broken connection and ends every call on it that outlasts the connection's age or
 * the server's drain by one keepalive interval (grpc-node issue 3068). Call before the first connection is made.
 */
export function spareDrainingConnections(): void {
  const { connect } = Http2SubchannelConnector.prototype;
  Http2SubchannelConnector.prototype.connect = async function (...given) {
    const connection = await connect.apply(this, given);
    const transport = connection as unknown as Http2Transport;
    const canSendPing = transport.canSendPing.bind(transport);
    transport.canSendPing = () => !transport.session.closed && canSendPing();
    return connection;
  };
}
