import { createSecureContext } from 'node:tls';
import { ChannelCredentials, experimental, ServerCredentials } from '@grpc/grpc-js';
import { Status } from 'nice-grpc-common';
import { FusionError, invalidField } from './errors.ts';
import type { TlsFiles } from './tls-files.ts';

/** A certificate, a chain of them or a key, as PEM text. */
export type Pem = string | Buffer;

/** How a client proves who it is and knows its server: by files, which are read again when they change, or by texts. */
export type ClientTls = {
  /** Name in the server's certificate, where the address has another one. */
  serverName?: string;
} & ({ files: TlsFiles } | ClientPems);

interface ClientPems {
  files?: never;
  /** Authorities that may sign the server's certificate. Default: those that Node trusts. */
  ca?: Pem;
  /** This client's own certificate, for servers that ask for one (mutual TLS); with {@link key}. */
  certificate?: Pem;
  key?: Pem;
}

/** How a server proves who it is and knows its clients. */
export type ServerTls = ServerFiles | ServerPems;

interface ServerFiles {
  files: TlsFiles;
  /** A client without a certificate of the authorities is turned away (mutual TLS). */
  needsClient: boolean;
  /** DNS names and URIs in certificates of clients that may call; empty: all. */
  allowedCallers: readonly string[];
}

interface ServerPems {
  files?: never;
  certificate: Pem;
  key: Pem;
  /** Authorities that sign clients' certificates. When given, a client without one is turned away (mutual TLS). */
  clientCa?: Pem;
}

/** Throws INVALID_ARGUMENT for half a pair, and for what is no PEM or does not belong together. */
export function clientCredentials(tls: ClientTls | undefined): ChannelCredentials {
  if (!tls) {
    return ChannelCredentials.createInsecure();
  }
  if (tls.files) {
    const { files } = tls;
    return experimental.createCertificateProviderChannelCredentials(files, files.hasIdentity ? files : null);
  }
  const { ca, certificate, key } = tls;
  if ((certificate === undefined) !== (key === undefined)) {
    throw invalidField('tls', certificate ? 'a certificate alone' : 'a key alone', 'certificate and key, or neither');
  }
  return readPem(() => ChannelCredentials.createSsl(bytes(ca), bytes(key), bytes(certificate)));
}

/** Throws INVALID_ARGUMENT for what is no PEM or does not belong together. */
export function serverCredentials(tls: ServerTls | undefined): ServerCredentials {
  if (!tls) {
    return ServerCredentials.createInsecure();
  }
  if (tls.files) {
    // Who has none is turned away call by call, see `checkCaller`.
    return experimental.createCertificateProviderServerCredentials(tls.files, tls.files, false);
  }
  const pair = { cert_chain: Buffer.from(tls.certificate), private_key: Buffer.from(tls.key) };
  return readPem(() => {
    // The server itself would read them when its port is bound, and blame the port.
    createSecureContext({ cert: tls.certificate, key: tls.key, ca: tls.clientCa });
    return ServerCredentials.createSsl(bytes(tls.clientCa), [pair], tls.clientCa !== undefined);
  });
}

function bytes(pem: Pem | undefined): Buffer | null {
  return pem === undefined ? null : Buffer.from(pem);
}

function readPem<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new FusionError(Status.INVALID_ARGUMENT, `tls: ${(error as Error).message}`, {
      reason: 'INVALID_TLS',
      field: 'tls',
      cause: error,
    });
  }
}
