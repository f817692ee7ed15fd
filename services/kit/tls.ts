import { createSecureContext } from 'node:tls';
import { ChannelCredentials, experimental, ServerCredentials } from '@grpc/grpc-js';
import { Status } from 'nice-grpc-common';
import { FusionError, invalidField } from './errors.ts';
import { reasonOf } from './reason-of.ts';
import type { TlsFiles } from './tls-files.ts';

/** A certificate, a chain of them or a key, as PEM text. */
export type Pem = string | Buffer;

/** A client's TLS identity and trust: files, which are read again when they change, or PEM texts. */
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

/** A server's TLS identity and trust. */
export type ServerTls = ServerFiles | ServerPems;

interface ServerFiles {
  files: TlsFiles;
  /** A client without a certificate from the authorities is rejected (mutual TLS). */
  needsClient: boolean;
  /** DNS names and URIs in certificates of clients that may call; empty: all. */
  allowedCallers: readonly string[];
}

interface ServerPems {
  files?: never;
  certificate: Pem;
  key: Pem;
  /** Authorities that sign clients' certificates. If set, a client without a certificate is rejected (mutual TLS). */
  clientCa?: Pem;
}

/** Throws INVALID_ARGUMENT for a certificate without its key or the reverse, invalid PEM, and a key of another certificate. */
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

/** Throws INVALID_ARGUMENT for invalid PEM and for a key of another certificate. */
export function serverCredentials(tls: ServerTls | undefined): ServerCredentials {
  if (!tls) {
    return ServerCredentials.createInsecure();
  }
  if (tls.files) {
    // Callers without one are rejected per call, see `checkCaller`.
    return experimental.createCertificateProviderServerCredentials(tls.files, tls.files, false);
  }
  const pair = { cert_chain: Buffer.from(tls.certificate), private_key: Buffer.from(tls.key) };
  return readPem(() => {
    // Otherwise the server reads them while binding its port, and blames the port.
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
    throw new FusionError(Status.INVALID_ARGUMENT, `tls: ${reasonOf(error)}`, {
      reason: 'INVALID_TLS',
      field: 'tls',
      cause: error,
    });
  }
}
