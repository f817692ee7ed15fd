import { join } from 'node:path';

/** A socket in a private folder, which other users cannot open; on Windows a loopback port. */
export function localAddress(folder: string, name: string): string {
  return process.platform === 'win32' ? '127.0.0.1:0' : `unix://${join(folder, `${name}.sock`)}`;
}
