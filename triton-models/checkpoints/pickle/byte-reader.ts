/** Reads a pickle's bytes in sequence. Every method throws a RangeError at the end of the bytes. */
export class ByteReader {
  readonly #bytes: Buffer;
  #position = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get position(): number {
    return this.#position;
  }

  bytes(length: number): Buffer {
    const end = this.#position + length;
    if (end > this.#bytes.length) {
      throw new RangeError(`it ends after ${this.#bytes.length} bytes, ${end} are announced: cut short`);
    }
    const taken = this.#bytes.subarray(this.#position, end);
    this.#position = end;
    return taken;
  }

  uint8(): number {
    return this.bytes(1).readUInt8();
  }

  uint16(): number {
    return this.bytes(2).readUInt16LE();
  }

  int32(): number {
    return this.bytes(4).readInt32LE();
  }

  uint32(): number {
    return this.bytes(4).readUInt32LE();
  }

  /** A length. One that is not a safe integer exceeds the bytes anyway. */
  uint64(): number {
    return Number(this.bytes(8).readBigUInt64LE());
  }

  float64(): number {
    return this.bytes(8).readDoubleBE();
  }

  /** Two's complement of any length, as a number if exact. */
  integer(length: number): number | bigint {
    const hex = Buffer.from(this.bytes(length)).reverse().toString('hex');
    const value = length === 0 ? 0n : BigInt.asIntN(8 * length, BigInt(`0x${hex}`));
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }

  text(length: number): string {
    return this.bytes(length).toString('utf8');
  }

  /** Up to the next line feed, exclusive. */
  line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#position);
    const line = this.text((end < 0 ? this.#bytes.length : end) - this.#position);
    this.bytes(1);
    return line;
  }
}
