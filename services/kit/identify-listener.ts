import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { parseHostPort } from './addresses.ts';

/** Longest wait for a response, in milliseconds. */
const patience = 1000;
const request = 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';

/**
 * Identifies what listens at an address where gRPC cannot connect, worded to follow "there is"; undefined if unknown,
 * and for a gRPC server.
 *
 * @param address addresses other than `host:port` and `dns:///host:port` are not tried
 * @param hasTls whether gRPC tried with TLS
 */
export async function identifyListener(address: string, hasTls: boolean): Promise<string | undefined> {
  const place = parseHostPort(address.replace(/^dns:\/\/\//, ''));
  if (!place) {
    return undefined;
  }
  const answer = await firstBytes(connectTcp(place), 'connect');
  if (answer === undefined) {
    return undefined;
  }
  const text = answer.toString('latin1');
  if (isSettingsFrame(answer)) {
    return hasTls ? 'a gRPC server without TLS' : undefined;
  }
  if (text.startsWith('HTTP/1.')) {
    return 'an HTTP/1.1 server, not a gRPC server';
  }
  if (!hasTls && (isTlsAlert(answer) || (await takesTls(place)))) {
    return 'a server that requires TLS';
  }
  const [line] = /^[\x20-\x7e]+/.exec(text) ?? [];
  return line && `a server that says "${line.slice(0, 40)}", not a gRPC server`;
}

/** First bytes of the response to an HTTP request: empty if there are none, undefined without a connection. */
function firstBytes(socket: Socket, connected: 'connect' | 'secureConnect'): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    let answer: Buffer | undefined;
    const timer = setTimeout(() => socket.destroy(), patience);
    socket.once(connected, () => {
      answer = Buffer.alloc(0);
      socket.write(request);
    });
    socket.once('data', (bytes) => {
      answer = bytes;
      socket.destroy();
    });
    socket.on('error', () => {});
    socket.once('close', () => {
      clearTimeout(timer);
      resolve(answer);
    });
  });
}

/** The first frame of an HTTP/2 server, of type 4 on stream 0. */
function isSettingsFrame(bytes: Buffer): boolean {
  return bytes.length >= 9 && bytes[3] === 4 && bytes.readUInt32BE(5) === 0;
}

function isTlsAlert(bytes: Buffer): boolean {
  return bytes[0] === 0x15 && bytes[1] === 3;
}

async function takesTls({ host, port }: { host: string; port: number }): Promise<boolean> {
  const socket = connectTls({ host, port, rejectUnauthorized: false });
  return (await firstBytes(socket, 'secureConnect')) !== undefined;
}
