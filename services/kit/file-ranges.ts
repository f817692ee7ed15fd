import { read, readSync, write, writeSync } from 'node:fs';
import { promisify } from 'node:util';

/** A part of an open file. */
export interface FileRange {
  readonly descriptor: number;
  readonly position: number;
  readonly byteSize: number;
}

/** Fewer bytes are copied in this thread, in about a millisecond: handing them to others takes as long. */
const minReadInThreads = 2 << 20;
const minWriteInThread = 8 << 20;
/** Maximum number of bytes that one system call copies. */
const maxCallBytes = 2 ** 30;

const readInThread = promisify(read);
const writeInThread = promisify(write);

/**
 * Fills `data` from a place in a file in memory. Many bytes are copied by two of Node's threads, which takes half the time and
 * does not block this one. Resolves to false if the file ends too early.
 */
export async function readRange(descriptor: number, data: Uint8Array, position: number): Promise<boolean> {
  if (data.byteLength < minReadInThreads) {
    return readRangeSync(descriptor, data, position);
  }
  const middle = Math.ceil(data.byteLength / 2);
  const halves = [
    fill(descriptor, data.subarray(0, middle), position),
    fill(descriptor, data.subarray(middle), position + middle),
  ];
  // Until both have ended, they use descriptor and data.
  await Promise.allSettled(halves);
  return (await Promise.all(halves)).every((isFilled) => isFilled);
}

async function fill(descriptor: number, data: Uint8Array, position: number): Promise<boolean> {
  for (let done = 0; done < data.byteLength; ) {
    const wanted = Math.min(data.byteLength - done, maxCallBytes);
    const { bytesRead } = await readInThread(descriptor, data, done, wanted, position + done);
    if (bytesRead === 0) {
      return false;
    }
    done += bytesRead;
  }
  return true;
}

/** Like {@link readRange}, in this thread. */
export function readRangeSync(descriptor: number, data: Uint8Array, position: number): boolean {
  for (let done = 0; done < data.byteLength; ) {
    const wanted = Math.min(data.byteLength - done, maxCallBytes);
    const bytesRead = readSync(descriptor, data, done, wanted, position + done);
    if (bytesRead === 0) {
      return false;
    }
    done += bytesRead;
  }
  return true;
}

/**
 * Writes `data` to a place in a file in memory. Many bytes are copied by one of Node's threads: the system lets only one at a
 * time write to a file, and the others would use the processor while they wait.
 */
export async function writeRange(descriptor: number, data: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < data.byteLength; ) {
    const wanted = Math.min(data.byteLength - done, maxCallBytes);
    if (data.byteLength < minWriteInThread) {
      done += writeSync(descriptor, data, done, wanted, position + done);
    } else {
      const { bytesWritten } = await writeInThread(descriptor, data, done, wanted, position + done);
      done += bytesWritten;
    }
  }
}
