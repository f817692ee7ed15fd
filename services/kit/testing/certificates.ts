import { generateKeyPairSync, randomBytes } from 'node:crypto';
import forge from 'node-forge';

/** A certificate with its key, as PEM texts. */
export interface CertifiedKey {
  certificate: string;
  key: string;
}

/** Seconds from now; default: from a minute ago to an hour ahead. */
export interface Validity {
  from: number;
  to: number;
}

/** An authority for a test. */
export interface TestAuthority {
  certificate: string;
  /** @param subjectAltNames DNS names, URIs (with `://`) and IPv4 addresses */
  issue(commonName: string, subjectAltNames?: string[], validity?: Validity): CertifiedKey;
  /** A certificate that may sign documents. */
  issueSigner(commonName: string, organization: string, validity?: Validity): CertifiedKey;
}

export function createAuthority(name = 'test authority', validity?: Validity): TestAuthority {
  const keys = generateKeys();
  const subject = [{ name: 'commonName', value: name }];
  const certificate = unsigned(keys.publicKey, subject, subject, validity);
  certificate.setExtensions([{ name: 'basicConstraints', cA: true, critical: true }]);
  certificate.sign(keys.privateKey, forge.md.sha256.create());
  let issuedCount = 0;
  return {
    certificate: forge.pki.certificateToPem(certificate),
    issue(commonName, subjectAltNames = [], validity) {
      leafKeys ??= [generateKeys(), generateKeys()];
      const own = leafKeys[issuedCount++ % 2]!;
      const issued = unsigned(own.publicKey, [{ name: 'commonName', value: commonName }], subject, validity);
      const altNames = subjectAltNames.map(altName);
      issued.setExtensions(altNames.length > 0 ? [{ name: 'subjectAltName', altNames }] : []);
      issued.sign(keys.privateKey, forge.md.sha256.create());
      return { certificate: forge.pki.certificateToPem(issued), key: forge.pki.privateKeyToPem(own.privateKey) };
    },
    issueSigner(commonName, organization, validity) {
      const own = generateKeys();
      const named = [
        { name: 'commonName', value: commonName },
        { name: 'organizationName', value: organization },
      ];
      const issued = unsigned(own.publicKey, named, subject, validity);
      issued.setExtensions([
        { name: 'keyUsage', digitalSignature: true, critical: true },
        { name: 'extKeyUsage', emailProtection: true },
        { name: 'authorityKeyIdentifier', keyIdentifier: certificate.generateSubjectKeyIdentifier().getBytes() },
        { name: 'subjectKeyIdentifier' },
      ]);
      issued.sign(keys.privateKey, forge.md.sha256.create());
      return { certificate: forge.pki.certificateToPem(issued), key: forge.pki.privateKeyToPem(own.privateKey) };
    },
  };
}

/** Services' keys, used in turn: making a pair takes a fifth of a second. */
let leafKeys: [forge.pki.rsa.KeyPair, forge.pki.rsa.KeyPair] | undefined;

/** By Node: forge takes seconds for it. */
function generateKeys(): forge.pki.rsa.KeyPair {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  });
  return { publicKey: forge.pki.publicKeyFromPem(publicKey), privateKey: forge.pki.privateKeyFromPem(privateKey) };
}

/** The numbers that X.509 has for these kinds of names. */
const dnsName = 2;
const uri = 6;
const ipAddress = 7;

function altName(value: string) {
  return /^[\d.]+$/.test(value)
    ? { type: ipAddress, ip: value }
    : { type: value.includes('://') ? uri : dnsName, value };
}

function unsigned(
  publicKey: forge.pki.PublicKey,
  subject: forge.pki.CertificateField[],
  issuer: forge.pki.CertificateField[],
  validity: Validity = { from: -60, to: 3600 },
): forge.pki.Certificate {
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = publicKey;
  // A first byte below 0x80 keeps the number positive.
  certificate.serialNumber = `01${randomBytes(8).toString('hex')}`;
  certificate.validity.notBefore = new Date(Date.now() + validity.from * 1000);
  certificate.validity.notAfter = new Date(Date.now() + validity.to * 1000);
  certificate.setSubject(subject);
  certificate.setIssuer(issuer);
  return certificate;
}
