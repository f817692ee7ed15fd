import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

const prefix = 'video_';
const pattern = /^video_[0-9a-f]{32}$/;

/** An id is one AES-128 block: the job's sequence number, random bytes, and zeros that prove it genuine. */
const cipher = 'aes-128-ecb';
const placeBytes = 6;
const randomLength = 4;
const zeros = Buffer.alloc(16 - placeBytes - randomLength);

export function isJobId(id: string): boolean {
  return pattern.test(id);
}

/**
 * A new id. It contains the job's sequence number, so that a list can continue after a deleted job; encrypted, so that
 * it does not reveal how many jobs there were.
 *
 * @param sequence the job's sequence number, below 2⁴⁸
 * @param key 16 bytes shared by all gateways on the database
 */
export function newJobId(sequence: number, key: Uint8Array): string {
  const block = Buffer.concat([Buffer.alloc(placeBytes), randomBytes(randomLength), zeros]);
  block.writeUIntBE(sequence, 0, placeBytes);
  return prefix + createCipheriv(cipher, key, null).setAutoPadding(false).update(block, undefined, 'hex');
}

/** The sequence number in an id; `undefined` if the id was not made with this key. */
export function sequenceIn(id: string, key: Uint8Array): number | undefined {
  if (!isJobId(id)) {
    return undefined;
  }
  const block = createDecipheriv(cipher, key, null).setAutoPadding(false).update(id.slice(prefix.length), 'hex');
  return block.subarray(-zeros.length).equals(zeros) ? block.readUIntBE(0, placeBytes) : undefined;
}
