import { randomBytes } from 'node:crypto';
import forge from 'node-forge';

/** A certificate with its key, as PEM texts. */
export interface CertifiedKey {
  certificate: string;
  key: string;
}

/** An authority for a test, which signs certificates that are good for an hour. */
export interface TestAuthority {
  certificate: string;
  issue(commonName: string, subjectAltNames?: string[]): CertifiedKey;
}

export function createAuthority(name = 'test authority'): TestAuthority {
  const keys = forge.pki.rsa.generateKeyPair(2048);
  const subject = [{ name: 'commonName', value: name }];
  const certificate = unsigned(keys.publicKey, subject, subject);
  certificate.setExtensions([{ name: 'basicConstraints', cA: true, critical: true }]);
  certificate.sign(keys.privateKey, forge.md.sha256.create());
  return {
    certificate: forge.pki.certificateToPem(certificate),
    issue(commonName, subjectAltNames = []) {
      const own = forge.pki.rsa.generateKeyPair(2048);
      const issued = unsigned(own.publicKey, [{ name: 'commonName', value: commonName }], subject);
      const altNames = subjectAltNames.map((value) => ({ type: dnsName, value }));
      issued.setExtensions(altNames.length > 0 ? [{ name: 'subjectAltName', altNames }] : []);
      issued.sign(keys.privateKey, forge.md.sha256.create());
      return { certificate: forge.pki.certificateToPem(issued), key: forge.pki.privateKeyToPem(own.privateKey) };
    },
  };
}

/** The number that X.509 has for this kind of name. */
const dnsName = 2;

function unsigned(
  publicKey: forge.pki.PublicKey,
  subject: forge.pki.CertificateField[],
  issuer: forge.pki.CertificateField[],
): forge.pki.Certificate {
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = publicKey;
  // A first byte below 0x80 keeps the number positive.
  certificate.serialNumber = `01${randomBytes(8).toString('hex')}`;
  certificate.validity.notBefore = new Date(Date.now() - 60_000);
  certificate.validity.notAfter = new Date(Date.now() + 3_600_000);
  certificate.setSubject(subject);
  certificate.setIssuer(issuer);
  return certificate;
}
