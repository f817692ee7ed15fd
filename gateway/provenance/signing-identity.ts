import { constants, createPrivateKey, type KeyObject, sign, type X509Certificate } from 'node:crypto';
import { promisify } from 'node:util';
import type { JsCallbackSignerConfig } from '@contentauth/c2pa-node/dist/types/types.d.ts';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { readIdentity } from '../../services/kit/tls-files.ts';

type Algorithm = JsCallbackSignerConfig['alg'];

/** A certificate chain and the means to sign with its key. */
export interface SigningIdentity {
  algorithm: Algorithm;
  /** PEM. */
  certificates: Buffer;
  /** Size of the certificates in a signature, in bytes. */
  bytes: number;
  /** Milliseconds since 1970. */
  expiresAt: number;
  sign(data: Buffer): Promise<Buffer>;
}

const signAsync = promisify(sign);

const ellipticCurves: Readonly<Record<string, { algorithm: Algorithm; hash: string }>> = {
  prime256v1: { algorithm: 'es256', hash: 'sha256' },
  secp384r1: { algorithm: 'es384', hash: 'sha384' },
  secp521r1: { algorithm: 'es512', hash: 'sha512' },
};

/** Throws INVALID_ARGUMENT naming the setting, the file and what is wrong with it. */
export async function readSigningIdentity(certificatePath: string, keyPath: string): Promise<SigningIdentity> {
  const identity = await readIdentity(
    { certificate: 'PROVENANCE_CERTIFICATE', key: 'PROVENANCE_KEY' },
    certificatePath,
    keyPath,
  );
  const key = createPrivateKey(identity.privateKey);
  const bytes = identity.chain.reduce((sum, { raw }: X509Certificate) => sum + raw.length, 0);
  return { certificates: identity.certificate, bytes, expiresAt: identity.expiresAt, ...algorithmOf(key, keyPath) };
}

function algorithmOf(key: KeyObject, path: string): Pick<SigningIdentity, 'algorithm' | 'sign'> {
  const { asymmetricKeyType: type, asymmetricKeyDetails: { namedCurve = '', modulusLength = 0 } = {} } = key;
  const curve = ellipticCurves[namedCurve];
  if (type === 'ec' && curve) {
    return {
      algorithm: curve.algorithm,
      sign: (data) => signAsync(curve.hash, data, { key, dsaEncoding: 'ieee-p1363' }),
    };
  }
  if ((type === 'rsa' || type === 'rsa-pss') && modulusLength >= 2048) {
    const padding = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
    return { algorithm: 'ps256', sign: (data) => signAsync('sha256', data, { key, ...padding }) };
  }
  if (type === 'ed25519') {
    return { algorithm: 'ed25519', sign: (data) => signAsync(null, data, key) };
  }
  throw new FusionError(
    Status.INVALID_ARGUMENT,
    `FUSIONFRAMES_PROVENANCE_KEY: ${path} must hold an EC key (P-256, P-384, P-521), an RSA key of at least 2048 bits or an Ed25519 key`,
    { reason: 'INVALID_SETTING', field: 'FUSIONFRAMES_PROVENANCE_KEY' },
  );
}
