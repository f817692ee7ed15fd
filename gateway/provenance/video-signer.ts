import { rename } from 'node:fs/promises';
import { basename } from 'node:path';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import type { Logger } from '../../services/kit/log.ts';
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

/** Signs videos: states in a C2PA manifest inside the file how it was made, and by whose certificate. */
export class VideoSigner {
  readonly #c2pa: C2pa;
  readonly #identity: SigningIdentity;
  readonly #log: Logger;
  /** Whether manifests contain the prompts. */
  readonly publishesPrompt: boolean;

  constructor(c2pa: C2pa, identity: SigningIdentity, publishesPrompt: boolean, log: Logger) {
    this.#c2pa = c2pa;
    this.#identity = identity;
    this.#log = log;
    this.publishesPrompt = publishesPrompt;
  }

  /** Replaces a video file by its signed copy. Throws FAILED_PRECONDITION if it cannot be signed. */
  async sign(path: string, mimeType: string, facts: Omit<GenerationFacts, 'publishesPrompt'>): Promise<void> {
    const signed = `${path}.signed`;
    const manifest = manifestOf(basename(path), { ...facts, publishesPrompt: this.publishesPrompt });
    try {
      await this.#embed(manifest, { path, mimeType }, { path: signed, mimeType });
    } catch (error) {
      this.#log.error({ err: error }, 'signing a video failed');
      const hasExpired = this.#identity.expiresAt < Date.now();
      const why = hasExpired ? 'the certificate has expired' : "the gateway's log has the signing library's error";
      throw new FusionError(Status.FAILED_PRECONDITION, `The video could not be signed: ${why}`, {
        reason: 'SIGNING_FAILED',
        cause: error,
      });
    }
    await rename(signed, path);
  }

  /** Signs a small picture and reads it back: only the library knows all rules for certificates. Throws its error. */
  async tryOut(): Promise<void> {
    const source = { buffer: Buffer.from(onePixel, 'base64'), mimeType: 'image/png' };
    const target: { buffer: Buffer | null } = { buffer: null };
    await this.#embed(manifestOf('test', tryOutFacts), source, target);
    const reader = await this.#c2pa.Reader.fromAsset({ buffer: target.buffer!, mimeType: 'image/png' });
    const store = reader?.json() as { validation_state?: string; validation_status?: { code: string }[] };
    if (store.validation_state === 'Invalid') {
      const faults = store.validation_status?.map(({ code }) => statusText(code)).join('; ');
      throw new Error(`signatures made with it are invalid: ${faults}`);
    }
  }

  async #embed(
    manifest: object,
    source: Parameters<InstanceType<C2pa['Builder']>['signConfigAsync']>[2],
    target: Parameters<InstanceType<C2pa['Builder']>['signConfigAsync']>[3],
  ): Promise<void> {
    const { Builder } = this.#c2pa;
    const { algorithm: alg, certificates, bytes, sign } = this.#identity;
    const config = { alg, certs: [certificates], reserveSize: bytes + signatureBytes, directCoseHandling: false };
    const builder = Builder.withJson(manifest as Parameters<typeof Builder.withJson>[0]);
    // Not `signAsync`: its signer would keep the process alive.
    await builder.signConfigAsync(sign, config, source, target);
  }
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
  const identity = await readSigningIdentity(certificate, key);
  const signer = new VideoSigner(
    await loadC2pa('FUSIONFRAMES_PROVENANCE_CERTIFICATE'),
    identity,
    provenancePrompt === 'on',
    log,
  );
  try {
    await signer.tryOut();
  } catch (error) {
    log.error({ err: error, certificate }, 'the signing library refused the certificate');
    throw invalid(
      `FUSIONFRAMES_PROVENANCE_CERTIFICATE: the certificate in ${certificate} cannot sign; see docs/provenance.md for what it needs, and the log for the signing library's error`,
      error,
    );
  }
  const days = Math.floor((identity.expiresAt - Date.now()) / 86_400_000);
  if (days < soonDays) {
    log.warn({ certificate, days }, 'the certificate that signs videos expires soon; after that, jobs fail');
  }
  return signer;
}

function invalid(message: string, cause?: unknown): FusionError {
  return new FusionError(Status.INVALID_ARGUMENT, message, { reason: 'INVALID_SETTING', cause });
}
