import { tmpdir } from 'node:os';

/** Environment variable with the system's folder for temporary files, once the tests' are in memory. */
export const diskVariable = 'TEST_DISK_FOLDER';

/** A folder for temporary files on a disk, for links to the project's own. */
export function diskFolder(): string {
  return process.env[diskVariable] ?? tmpdir();
}
