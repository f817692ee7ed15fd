import { Http2SubchannelConnector } from '@grpc/grpc-js/build/src/transport.js';

/** What is used here of a grpc-js connection; private in its types. */
interface Http2Transport {
  readonly session: { readonly closed: boolean };
  canSendPing(): boolean;
}

/**
 * Keeps grpc-js from asking a connection whether it is still there once its server takes no new calls on it. Node sends no
 * such question on a session that has seen GOAWAY, grpc-js takes that for a broken connection and ends every call on it: all
 * that outlast their connection's age, or their server's drain, by one keepalive interval (grpc-node issue 3068). To be
 * called before the first connection is made.
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
