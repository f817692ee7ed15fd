import { join } from 'node:path';

/**
 * A socket in a private folder, which other users cannot open; a loopback port on Windows, and on macOS, whose sockets hold 8
 * KiB: too little for Node's HTTP/2, see `windowBytes` of `connect()`.
 */
export function localAddress(folder: string, name: string): string {
  const isPrivate = process.platform !== 'win32' && process.platform !== 'darwin';
  return isPrivate ? `unix://${join(folder, `${name}.sock`)}` : '127.0.0.1:0';
}
