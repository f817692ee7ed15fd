import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { SharedMemory } from './shared-memory.ts';

const key = `/fusionframes-test-${process.pid}`;
const file = `/dev/shm${key}`;

afterEach(() => rmSync(file, { force: true }));

// Only Linux shows its shared memory objects as files.
(existsSync('/dev/shm') ? describe : describe.skip)('shared memory', () => {
  function registered(): SharedMemory {
    writeFileSync(file, Buffer.from([1, 2, 3, 4, 5, 6, 7, 8]));
    const memory = new SharedMemory();
    memory.register('region', key, 0n, 8n);
    return memory;
  }

  test('a part of a region is read and written', async () => {
    const memory = registered();
    const lease = memory.lease('region', 2n, 4n);
    expect([...lease.read()]).toEqual([3, 4, 5, 6]);
    await lease.write(Uint8Array.of(9, 9));
    lease.release();
    expect([...readFileSync(file)]).toEqual([1, 2, 9, 9, 5, 6, 7, 8]);
    memory.unregister('');
  });

  test('a lease outlives the registration and the name of the object', async () => {
    const memory = registered();
    const lease = memory.lease('region', 0n, 8n);
    memory.unregister('region');
    rmSync(file);
    expect([...lease.read()]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    lease.release();
    expect(() => lease.read()).toThrow('was released');
    expect(() => lease.hold()).toThrow('was released');
    await expect(lease.write(Uint8Array.of(1))).rejects.toThrow('was released');
    expect(() => memory.lease('region', 0n, 8n)).toThrow(expect.objectContaining({ code: Status.NOT_FOUND }));
  });

  test('an object that shrank is not read past its end', () => {
    const memory = registered();
    writeFileSync(file, Buffer.from([1]));
    const lease = memory.lease('region', 0n, 8n);
    expect(() => lease.read()).toThrow('shorter than when it was registered');
    lease.release();
    memory.unregister('region');
  });

  test.each([
    ['a range past the end', 0n, 9n],
    ['an offset at the end', 8n, 1n],
    ['a negative offset', -1n, 1n],
  ])('%s is refused', (_, offset, size) => {
    const memory = registered();
    expect(() => memory.lease('region', offset, size)).toThrow(
      expect.objectContaining({ code: Status.INVALID_ARGUMENT }),
    );
    memory.unregister('region');
  });

  test('sums beyond 64 bits do not reach beyond the object', () => {
    writeFileSync(file, Buffer.alloc(8192));
    const memory = new SharedMemory();
    expect(() => memory.register('region', key, 4096n, 2n ** 64n - 4096n)).toThrow('invalid args');
    expect(() => memory.register('region', key, 2n ** 64n - 4096n, 8192n)).toThrow('invalid args');
  });

  test('keys that point elsewhere are rejected', () => {
    for (const bad of ['/../etc/passwd', '..', '/', '/a/b']) {
      expect(() => new SharedMemory().register('region', bad, 0n, 8n)).toThrow(
        expect.objectContaining({ code: Status.INTERNAL }),
      );
    }
  });
});
