import { once } from 'node:events';
import { isIP, Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { timeLimit } from '../../services/kit/time-limit.ts';
import type { Encryption } from './encryption.ts';

/** Where the driver would connect: a socket path, or hosts with one port each. */
export interface SocketAddress {
  host: readonly string[];
  port: readonly number[];
  /** Path of a Unix socket; false when there are hosts. */
  path: string | false;
}

/** The protocol's request for TLS; the server answers with a single S or N. */
const tlsRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);
const tlsAccepted = 'S';

let opened = 0;

/**
 * A socket to the server for the driver, connected or connecting; with TLS, only once the handshake is done. Never
 * rejects, since the driver would then lose one of its connections: on failure the socket closes with the error
 * instead.
 */
export function openSocket(
  { host, port, path }: SocketAddress,
  encryption: Encryption | undefined,
  seconds: number,
): Socket | Promise<Socket> {
  const socket = new Socket();
  if (path !== false) {
    return socket.connect(path);
  }
  // Takes hosts in turn: the next attempt skips a server that is down.
  const index = opened++ % host.length;
  socket.connect(port[index]!, host[index]!);
  return encryption ? encrypt(socket, host[index]!, encryption, seconds) : socket;
}

/** A socket that closes with an error once its owner has had time to add listeners. */
export function failedSocket(error: unknown): Socket {
  const socket = new Socket();
  setImmediate(() => socket.destroy(error as Error));
  return socket;
}

async function encrypt(socket: Socket, host: string, encryption: Encryption, seconds: number): Promise<Socket> {
  const limit = timeLimit(seconds * 1000);
  const { signal } = limit;
  socket.on('error', () => {});
  try {
    await once(socket, 'connect', { signal });
    if (!encryption.isDirect && !(await acceptsTls(socket, signal))) {
      if (encryption.isOptional) {
        return socket;
      }
      throw new FusionError(
        Status.FAILED_PRECONDITION,
        'the server does not offer TLS, which `sslmode` in the URL requires',
        { reason: 'DATABASE_WITHOUT_TLS', field: 'DATABASE_URL' },
      );
    }
    const encrypted = connectTls({
      socket,
      host,
      ...(isIP(host) === 0 && { servername: host }),
      rejectUnauthorized: encryption.isVerified,
      ...(encryption.isDirect && { ALPNProtocols: ['postgresql'] }),
    });
    await handshake(encrypted, host, signal);
    return encrypted;
  } catch (error) {
    socket.destroy();
    const late = Object.assign(new Error(`no TLS connection within ${seconds} s`), { code: 'CONNECT_TIMEOUT' });
    return failedSocket(limit.isOver ? late : error);
  } finally {
    limit.end();
  }
}

async function handshake(socket: TLSSocket, host: string, signal: AbortSignal): Promise<void> {
  try {
    await once(socket, 'secureConnect', { signal });
  } catch (error) {
    if (socket.authorizationError) {
      throw new FusionError(
        Status.FAILED_PRECONDITION,
        `the certificate of ${host} is not valid, which \`sslmode\` in DATABASE_URL requires (NODE_EXTRA_CA_CERTS names a ` +
          `file with certificate authorities of your own): ${(error as Error).message}`,
        { reason: 'DATABASE_CERTIFICATE', field: 'DATABASE_URL', cause: error },
      );
    }
    throw error;
  }
}

async function acceptsTls(socket: Socket, signal: AbortSignal): Promise<boolean> {
  socket.write(tlsRequest);
  const [answer] = (await once(socket, 'data', { signal })) as [Buffer];
  // Anything after that single byte was injected by a man in the middle (CVE-2021-23222).
  return answer.toString('latin1') === tlsAccepted;
}
