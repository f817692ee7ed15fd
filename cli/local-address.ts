import { join } from 'node:path';

/**
 * A socket in a private folder, which other users cannot open; a loopback port on Windows, and on macOS, whose sockets hold 8
 * KiB: too little for Node's HTTP/2, see `windowBytes` of `connect()`.
 */
export function localAddress(folder: string, name: string): string {
  return ['win32', 'darwin'].includes(process.platform) ? '127.0.0.1:0' : `unix://${join(folder, `${name}.sock`)}`;
}
