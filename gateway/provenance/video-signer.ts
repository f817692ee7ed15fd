import { rename } from 'node:fs/promises';
import { basename } from 'node:path';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { fileVersion, watchSeconds } from '../../services/kit/file-version.ts';
import type { Logger } from '../../services/kit/log.ts';
import { observe } from '../../services/kit/telemetry/metrics.ts';
import { loadC2pa } from './load-c2pa.ts';
import { type GenerationFacts, manifestOf } from './manifest.ts';
import type { ProvenanceOptions } from './provenance-settings.ts';
import { readSigningIdentity, type SigningIdentity } from './signing-identity.ts';
import { statusText } from './status-text.ts';

type C2pa = Awaited<ReturnType<typeof loadC2pa>>;

/** Room for a signature besides its certificates, in bytes. */
const signatureBytes = 2048;

/** Certificates that expire sooner are reported at the start, in days. */
const soonDays = 30;

interface SignerFiles {
  /** Paths of PEM files. */
  certificate: string;
  key: string;
}

interface SignerOptions {
  c2pa: C2pa;
  files: SignerFiles;
  /** Of the files, see `fileVersion()`. */
  version: string;
  identity: SigningIdentity;
  /** Whether manifests contain the prompts. */
  publishesPrompt: boolean;
  log: Logger;
}

/** Signs videos: states in a C2PA manifest inside the file how it was made, and by whose certificate. */
export class VideoSigner {
  readonly #options: SignerOptions;
  #identity: SigningIdentity;
  #version: string;
  #hasExpired = false;

  constructor(options: SignerOptions) {
    this.#options = options;
    this.#identity = options.identity;
    this.#version = options.version;
  }

  /**
   * Reports when the certificate expires, and reads it and its key again when their files change, until the returned
   * function is called. Files that cannot sign are logged and not used: the previous ones stay in use.
   *
   * @param seconds between checks of the files
   */
  follow(seconds = watchSeconds): () => void {
    const timer = setInterval(() => void this.#look(), seconds * 1000).unref();
    const endObservation = observe('fusionframes.certificate.expiry', async () => [
      { value: this.#identity.expiresAt / 1000, attributes: { 'fusionframes.certificate.use': 'signatures' } },
    ]);
    return () => {
      clearInterval(timer);
      endObservation();
    };
  }

  /** Throws FAILED_PRECONDITION once the certificate has expired. Call before a video is made. */
  requireValid(): void {
    if (this.#identity.expiresAt < Date.now()) {
      throw signingFailed('the certificate has expired');
    }
  }

  /** Replaces a video file by its signed copy. Throws FAILED_PRECONDITION if it cannot be signed. */
  async sign(path: string, mimeType: string, facts: Omit<GenerationFacts, 'publishesPrompt'>): Promise<void> {
    const { c2pa, publishesPrompt, log } = this.#options;
    const signed = `${path}.signed`;
    const manifest = manifestOf(basename(path), { ...facts, publishesPrompt });
    try {
      await embed(c2pa, this.#identity, manifest, { path, mimeType }, { path: signed, mimeType });
    } catch (error) {
      log.error({ err: error }, 'signing a video failed');
      this.requireValid();
      throw signingFailed("the gateway's log has the signing library's error", error);
    }
    await rename(signed, path);
  }

  async #look(): Promise<void> {
    const { c2pa, files, log } = this.#options;
    const version = await versionOf(files);
    if (version === this.#version) {
      this.#checkExpiry();
      return;
    }
    try {
      const identity = await readUsableIdentity(c2pa, files, log);
      // If the files changed between two reads, the next check gets a complete set.
      if (version !== (await versionOf(files))) {
        return;
      }
      this.#identity = identity;
      log.info({ certificate: files.certificate, notice: true }, 'the certificate that signs videos was reloaded');
    } catch (error) {
      log.error(`${(error as Error).message}; the previous certificate signs on`);
    }
    this.#version = version;
  }

  /** Logged once. */
  #checkExpiry(): void {
    const { files, log } = this.#options;
    const hasExpired = this.#identity.expiresAt < Date.now();
    if (hasExpired && !this.#hasExpired) {
      log.error({ certificate: files.certificate }, 'the certificate that signs videos has expired, so jobs fail');
    }
    this.#hasExpired = hasExpired;
  }
}

function versionOf({ certificate, key }: SignerFiles): Promise<string> {
  return fileVersion([certificate, key]);
}

function signingFailed(why: string, cause?: unknown): FusionError {
  return new FusionError(Status.FAILED_PRECONDITION, `The video could not be signed: ${why}`, {
    reason: 'SIGNING_FAILED',
    cause,
  });
}

/** Throws INVALID_ARGUMENT naming the setting for files that are missing, do not belong together or must not sign. */
async function readUsableIdentity(
  c2pa: C2pa,
  { certificate, key }: SignerFiles,
  log: Logger,
): Promise<SigningIdentity> {
  const identity = await readSigningIdentity(certificate, key);
  try {
    await tryOut(c2pa, identity);
  } catch (error) {
    log.error({ err: error, certificate }, 'the signing library refused the certificate');
    throw invalid(
      `FUSIONFRAMES_PROVENANCE_CERTIFICATE: the certificate in ${certificate} cannot sign; see docs/provenance.md for what it needs, and the log for the signing library's error`,
      error,
    );
  }
  return identity;
}

/** Signs a small picture and reads it back: only the library knows all rules for certificates. Throws its error. */
async function tryOut(c2pa: C2pa, identity: SigningIdentity): Promise<void> {
  const source = { buffer: Buffer.from(onePixel, 'base64'), mimeType: 'image/png' };
  const target: { buffer: Buffer | null } = { buffer: null };
  await embed(c2pa, identity, manifestOf('test', tryOutFacts), source, target);
  const reader = await c2pa.Reader.fromAsset({ buffer: target.buffer!, mimeType: 'image/png' });
  const store = reader?.json() as { validation_state?: string; validation_status?: { code: string }[] };
  if (store.validation_state === 'Invalid') {
    const faults = store.validation_status?.map(({ code }) => statusText(code)).join('; ');
    throw new Error(`signatures made with it are invalid: ${faults}`);
  }
}

async function embed(
  { Builder }: C2pa,
  { algorithm: alg, certificates, bytes, sign }: SigningIdentity,
  manifest: object,
  source: Parameters<InstanceType<C2pa['Builder']>['signConfigAsync']>[2],
  target: Parameters<InstanceType<C2pa['Builder']>['signConfigAsync']>[3],
): Promise<void> {
  const config = { alg, certs: [certificates], reserveSize: bytes + signatureBytes, directCoseHandling: false };
  const builder = Builder.withJson(manifest as Parameters<typeof Builder.withJson>[0]);
  // Not `signAsync`: its signer would keep the process alive.
  await builder.signConfigAsync(sign, config, source, target);
}

/** A PNG. */
const onePixel = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

const tryOutFacts = { video: '', model: '', settings: {}, publishesPrompt: false } as unknown as GenerationFacts;

/**
 * The configured signer, if any. Throws INVALID_ARGUMENT naming the setting for files that are missing, do not belong
 * together or must not sign, and if the library is missing.
 */
export async function openSigner(options: ProvenanceOptions, log: Logger): Promise<VideoSigner | undefined> {
  const { provenanceCertificate: certificate, provenanceKey: key, provenancePrompt } = options;
  if (certificate === '' && key === '') {
    return undefined;
  }
  if (certificate === '' || key === '') {
    throw invalid('Set both FUSIONFRAMES_PROVENANCE_CERTIFICATE and FUSIONFRAMES_PROVENANCE_KEY, or neither');
  }
  const c2pa = await loadC2pa('FUSIONFRAMES_PROVENANCE_CERTIFICATE');
  const files = { certificate, key };
  const version = await versionOf(files);
  const identity = await readUsableIdentity(c2pa, files, log);
  const days = Math.floor((identity.expiresAt - Date.now()) / 86_400_000);
  if (days < soonDays) {
    log.warn({ certificate, days }, 'the certificate that signs videos expires soon; after that, jobs fail');
  }
  return new VideoSigner({ c2pa, files, version, identity, publishesPrompt: provenancePrompt === 'on', log });
}

function invalid(message: string, cause?: unknown): FusionError {
  return new FusionError(Status.INVALID_ARGUMENT, message, { reason: 'INVALID_SETTING', cause });
}
