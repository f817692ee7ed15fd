import { createPrivateKey, type X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { experimental } from '@grpc/grpc-js';
import { Status } from 'nice-grpc-common';
import { FusionError } from './errors.ts';
import { fileVersion, watchSeconds } from './file-version.ts';
import type { Logger } from './log.ts';
import { parseCertificates } from './pem-certificates.ts';
import { reasonOf } from './reason-of.ts';
import { observe } from './telemetry/metrics.ts';

type CertificateProvider = experimental.CertificateProvider;
type CaListener = experimental.CaCertificateUpdateListener;
type IdentityListener = experimental.IdentityCertificateUpdateListener;

export interface TlsPaths {
  /** Certificate of this process with any intermediates, PEM. Absent: none. */
  certificate: string | undefined;
  /** Key of that certificate, PEM. */
  key: string | undefined;
  /** Authorities that must have issued the peer's certificate, PEM. */
  ca: string;
}

interface Contents {
  ca: Buffer;
  /** When the first of the certificates expires, milliseconds since 1970. */
  expiresAt: number;
  identity: { certificate: Buffer; privateKey: Buffer } | undefined;
}

/**
 * A process's certificate, key and authorities from files. They are read again when they change and apply to new
 * connections; existing ones are left alone. Files that do not belong together are logged and not used: the previous
 * ones stay in use.
 */
export class TlsFiles implements CertificateProvider {
  readonly #paths: TlsPaths;
  readonly #log: Logger;
  readonly #caListeners = new Set<CaListener>();
  readonly #identityListeners = new Set<IdentityListener>();
  readonly #timer: NodeJS.Timeout;
  readonly #endObservation: () => void;
  #contents: Contents;
  #version: string;
  #hasExpired = false;

  /**
   * Throws INVALID_ARGUMENT naming the file and what is wrong with it.
   *
   * @param seconds between checks of the files
   */
  static async open(paths: TlsPaths, log: Logger, seconds = watchSeconds): Promise<TlsFiles> {
    const version = await versionOf(paths);
    return new TlsFiles(paths, log, seconds, version, await readContents(paths));
  }

  private constructor(paths: TlsPaths, log: Logger, seconds: number, version: string, contents: Contents) {
    this.#paths = paths;
    this.#log = log;
    this.#version = version;
    this.#contents = contents;
    this.#timer = setInterval(() => void this.#look(), seconds * 1000).unref();
    this.#endObservation = observe('fusionframes.certificate.expiry', async () => [
      { value: this.#contents.expiresAt / 1000, attributes: { 'fusionframes.certificate.use': 'connections' } },
    ]);
  }

  /** Whether there is a certificate. */
  get hasIdentity(): boolean {
    return this.#contents.identity !== undefined;
  }

  addCaCertificateListener(listener: CaListener): void {
    this.#caListeners.add(listener);
    // Deferred, because the owner cannot handle the call before it has registered.
    process.nextTick(() => listener({ caCertificate: this.#contents.ca }));
  }

  removeCaCertificateListener(listener: CaListener): void {
    this.#caListeners.delete(listener);
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    this.#identityListeners.add(listener);
    process.nextTick(() => listener(this.#contents.identity ?? null));
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.#identityListeners.delete(listener);
  }

  /** Stops watching the files. */
  close(): void {
    clearInterval(this.#timer);
    this.#endObservation();
  }

  async #look(): Promise<void> {
    const version = await versionOf(this.#paths);
    if (version === this.#version) {
      this.#checkExpiry();
      return;
    }
    try {
      const contents = await readContents(this.#paths);
      // The files changed between two reads: the next check gets a complete set.
      if (version !== (await versionOf(this.#paths))) {
        return;
      }
      this.#contents = contents;
      for (const listener of this.#identityListeners) {
        listener(contents.identity ?? null);
      }
      for (const listener of this.#caListeners) {
        listener({ caCertificate: contents.ca });
      }
      this.#log.info({ certificate: this.#paths.certificate }, 'certificates reloaded');
    } catch (error) {
      this.#log.error(`${(error as Error).message}; the previous certificates stay in use`);
    }
    this.#version = version;
  }

  /** Logged once: from then on every peer rejects this process. */
  #checkExpiry(): void {
    const hasExpired = this.#contents.expiresAt < Date.now();
    if (hasExpired && !this.#hasExpired) {
      this.#log.error({ certificate: this.#paths.certificate }, 'the certificate or its authority has expired');
    }
    this.#hasExpired = hasExpired;
  }
}

function versionOf({ certificate, key, ca }: TlsPaths): Promise<string> {
  return fileVersion([certificate, key, ca]);
}

async function readContents({ certificate, key, ca }: TlsPaths): Promise<Contents> {
  const authorities = await read('TLS_CA', ca);
  const caExpiresAt = checkAuthorities(ca, parse('TLS_CA', ca, authorities));
  if (certificate === undefined || key === undefined) {
    return { ca: authorities, identity: undefined, expiresAt: caExpiresAt };
  }
  const settings = { certificate: 'TLS_CERTIFICATE', key: 'TLS_KEY' };
  const own = await readIdentity(settings, certificate, key);
  const identity = { certificate: own.certificate, privateKey: own.privateKey };
  return { ca: authorities, identity, expiresAt: Math.min(own.expiresAt, caExpiresAt) };
}

/** A certificate with its key. */
export interface Identity {
  /** PEM, with any intermediates. */
  certificate: Buffer;
  /** PEM. */
  privateKey: Buffer;
  /** The certificate, then any intermediates. */
  chain: readonly X509Certificate[];
  /** Milliseconds since 1970. */
  expiresAt: number;
}

/**
 * Reads a certificate and its key. Throws INVALID_ARGUMENT naming the file and what is wrong with it.
 *
 * @param settings names of their settings, without the prefix
 */
export async function readIdentity(
  settings: { certificate: string; key: string },
  certificatePath: string,
  keyPath: string,
): Promise<Identity> {
  const certificate = await read(settings.certificate, certificatePath);
  const privateKey = await read(settings.key, keyPath);
  const chain = parse(settings.certificate, certificatePath, certificate);
  const expiresAt = checkDates(settings.certificate, certificatePath, chain[0]!);
  if (!chain[0]!.checkPrivateKey(parseKey(settings.key, keyPath, privateKey))) {
    throw fault(settings.key, `${keyPath} is not the key of the certificate in ${certificatePath}`);
  }
  return { certificate, privateKey, chain, expiresAt };
}

async function read(setting: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw fault(setting, `cannot read ${path}: ${reasonOf(error)}`);
  }
}

/** All certificates in a file, at least one. */
function parse(setting: string, path: string, pem: Buffer): X509Certificate[] {
  try {
    return parseCertificates(pem.toString('latin1'));
  } catch (error) {
    throw fault(setting, `${path} ${(error as Error).message}`);
  }
}

function parseKey(setting: string, path: string, pem: Buffer) {
  try {
    return createPrivateKey(pem);
  } catch (error) {
    throw fault(setting, `${path} has no PEM private key: ${reasonOf(error)}`);
  }
}

/** At least one of several authorities must be valid, as during rotation. Returns when the last one expires. */
function checkAuthorities(path: string, authorities: readonly X509Certificate[]): number {
  const isValid = ({ validFrom, validTo }: X509Certificate) =>
    Date.parse(validFrom) <= Date.now() && Date.parse(validTo) >= Date.now();
  const valid = authorities.filter(isValid);
  return Math.max(...(valid.length > 0 ? valid : authorities).map((each) => checkDates('TLS_CA', path, each)));
}

/** Returns when it expires. */
function checkDates(setting: string, path: string, { validFrom, validTo }: X509Certificate): number {
  if (Date.parse(validTo) < Date.now()) {
    throw fault(setting, `the certificate in ${path} expired on ${validTo}`);
  }
  if (Date.parse(validFrom) > Date.now()) {
    throw fault(setting, `the certificate in ${path} is not valid before ${validFrom}; is this machine's clock right?`);
  }
  return Date.parse(validTo);
}

function fault(setting: string, problem: string): FusionError {
  const field = `FUSIONFRAMES_${setting}`;
  return new FusionError(Status.INVALID_ARGUMENT, `${field}: ${problem}`, {
    reason: setting.startsWith('TLS_') ? 'INVALID_TLS' : 'INVALID_SETTING',
    field,
  });
}
