import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

const prefix = 'video_';
const pattern = /^video_[0-9a-f]{32}$/;

/** An id is one block of AES-128: a job's place among all jobs, some random bytes, and zeros that show it is genuine. */
const cipher = 'aes-128-ecb';
const placeBytes = 6;
const randomLength = 4;
const zeros = Buffer.alloc(16 - placeBytes - randomLength);

export function isJobId(id: string): boolean {
  return pattern.test(id);
}

/**
 * A new id, which holds the job's place so that lists can go on after a job that is gone, encrypted: ids
 * reveal nothing about how many jobs there were.
 *
 * @param sequence the job's place, below 2⁴⁸
 * @param key 16 bytes that every gateway on the database knows
 */
export function newJobId(sequence: number, key: Uint8Array): string {
  const block = Buffer.concat([Buffer.alloc(placeBytes), randomBytes(randomLength), zeros]);
  block.writeUIntBE(sequence, 0, placeBytes);
  return prefix + createCipheriv(cipher, key, null).setAutoPadding(false).update(block, undefined, 'hex');
}

/** The place in an id; `undefined` for one that was not made with this key. */
export function sequenceIn(id: string, key: Uint8Array): number | undefined {
  if (!isJobId(id)) {
    return undefined;
  }
  const block = createDecipheriv(cipher, key, null).setAutoPadding(false).update(id.slice(prefix.length), 'hex');
  return block.subarray(-zeros.length).equals(zeros) ? block.readUIntBE(0, placeBytes) : undefined;
}
