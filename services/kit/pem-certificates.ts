import { X509Certificate } from 'node:crypto';
import { reasonOf } from './reason-of.ts';

/**
 * All certificates in the text of a PEM file, at least one; Node itself silently stops at the first invalid one. Throws an
 * error that follows the file's name: "has no PEM certificate at position 2: …".
 */
export function parseCertificates(pem: string): X509Certificate[] {
  const texts = pem.split(/(?=-----BEGIN )/);
  const blocks = texts.filter((text) => /^-----BEGIN (X509 |TRUSTED )?CERTIFICATE-----/.test(text));
  return (blocks.length === 0 ? texts : blocks).map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch (error) {
      const which = index === 0 ? 'no PEM certificate' : `no PEM certificate at position ${index + 1}`;
      throw new Error(`has ${which}: ${reasonOf(error)}`, { cause: error });
    }
  });
}
