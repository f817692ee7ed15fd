import { invalidField } from './errors.ts';
import type { Logger } from './log.ts';
import { type Setting, text } from './settings.ts';
import type { ClientTls, ServerTls } from './tls.ts';
import { TlsFiles } from './tls-files.ts';

/** How the processes of the mesh authenticate each other. */
export const tlsSettings = {
  tlsCertificate: {
    name: 'FUSIONFRAMES_TLS_CERTIFICATE',
    description: 'File with the certificate of this process, PEM, reloaded when it changes; empty: no TLS',
    schema: text(''),
  },
  tlsKey: {
    name: 'FUSIONFRAMES_TLS_KEY',
    description: 'File with the key of that certificate, PEM',
    schema: text(''),
  },
  tlsCa: {
    name: 'FUSIONFRAMES_TLS_CA',
    description: "File with the authorities that must have issued the other side's certificate, PEM",
    schema: text(''),
  },
  tlsAllowedCallers: {
    name: 'FUSIONFRAMES_TLS_ALLOWED_CALLERS',
    description:
      'Callers that are allowed, by the names in their certificates (DNS or URI, such as spiffe://…), separated by commas; empty: all that the authorities signed',
    schema: text(''),
  },
} satisfies Record<string, Setting<unknown>>;

export interface ProcessTls {
  /** For the server of a stage or of inference: callers must show a certificate. */
  server: ServerTls;
  /** For the gateway, whose callers have API keys: they need a certificate only if allowed callers are set. */
  publicServer: ServerTls;
  client: ClientTls;
}

type TlsValues = Record<keyof typeof tlsSettings, string>;

/**
 * A process's TLS identity and trust; undefined without TLS. Throws INVALID_ARGUMENT naming the setting, the file and what
 * is wrong with it.
 */
export async function openProcessTls(values: TlsValues, log: Logger): Promise<ProcessTls | undefined> {
  const { tlsCertificate: certificate, tlsKey: key, tlsCa: ca } = values;
  const allowedCallers = values.tlsAllowedCallers.split(',').flatMap((name) => name.trim() || []);
  if (certificate === '' && key === '' && ca === '' && allowedCallers.length === 0) {
    return undefined;
  }
  for (const [field, given] of [
    [tlsSettings.tlsCertificate.name, certificate],
    [tlsSettings.tlsKey.name, key],
    [tlsSettings.tlsCa.name, ca],
  ] as const) {
    if (given === '') {
      throw invalidField(field, undefined, 'a file: certificate, key and authorities are set together');
    }
  }
  const files = await TlsFiles.open({ certificate, key, ca }, log);
  return {
    server: { files, needsClient: true, allowedCallers },
    publicServer: { files, needsClient: allowedCallers.length > 0, allowedCallers },
    client: { files },
  };
}

/**
 * The same for a client outside the mesh; undefined without TLS. Certificate and key may both be left out. Throws as {@link openProcessTls}.
 */
export async function openClientTls(values: TlsValues, log: Logger): Promise<ClientTls | undefined> {
  const { tlsCertificate: certificate, tlsKey: key, tlsCa: ca } = values;
  if (certificate !== '' || key !== '') {
    return (await openProcessTls({ ...values, tlsAllowedCallers: '' }, log))?.client;
  }
  return ca === '' ? undefined : { files: await TlsFiles.open({ certificate: undefined, key: undefined, ca }, log) };
}
