import { mkdir, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { shareServers } from '../../gateway/testing/shared-servers.ts';
import { diskVariable } from './disk.ts';

/** Where Linux keeps files in memory. */
const memory = '/dev/shm';

/** Holds this user's temporary files, apart from those of shared memory. Left in place: what killed tests leave is removed. */
const folder = join(memory, `fusionframes-tests-${process.getuid?.()}`);

/** Bytes of memory that must be free for the tests' files. */
const roomyBytes = 8e9;

export default async function setUp(): Promise<void> {
  await moveToMemory();
  forgetExtraCertificates();
  await shareServers();
}

/**
 * Lets temporary files be in memory if there is room: a database that comes and goes is three hundred files, and reading a
 * sparse file of 4 GB takes 15 s of CPU time from a disk.
 */
async function moveToMemory(): Promise<void> {
  const free = await statfs(memory).then(
    ({ bavail, bsize }) => bavail * bsize,
    () => 0,
  );
  if (free > roomyBytes) {
    process.env[diskVariable] = tmpdir();
    await mkdir(folder, { recursive: true });
    process.env.TMPDIR = folder;
  }
}

/**
 * Spares every process of the tests reading more authorities than Node's own, 0.1 s of CPU time each: they call this machine
 * only. npm, which has to reach its registry, is told by its own setting.
 */
function forgetExtraCertificates(): void {
  const { NODE_EXTRA_CA_CERTS: file } = process.env;
  if (file !== undefined) {
    process.env.npm_config_cafile ??= file;
    delete process.env.NODE_EXTRA_CA_CERTS;
  }
}
