import { apiKey } from '../api/api-key.ts';

/** A key as shown in rows: its name, or the meaning of an empty id. */
export function keyLabel(id: string, name: string): string {
  return id === '' ? 'without a key' : name || id;
}

/** Id of the key that this page uses; empty if none. */
export function ownKeyId(): string {
  return /^ff_([0-9a-f]{12})_/.exec(apiKey())?.[1] ?? '';
}

/** How long ago a time was, in seconds; `time` in seconds since 1970. */
export function secondsSince(time: number): number {
  return Math.max(0, Date.now() / 1000 - time);
}
