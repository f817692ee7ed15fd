import parseRange from 'range-parser';
import type { ByteRange } from '../../storage/object-store.ts';
import { ProtocolError } from './http-error.ts';

export interface RangeHeaders {
  range?: string | undefined;
  'if-range'?: string | undefined;
}

/**
 * Which part of a file is asked for (RFC 9110, section 14); nothing: all of it, also for several ranges at once, which a
 * server may answer so. Throws 416 when the part lies beyond the file.
 */
export function contentRange(
  { range, 'if-range': condition }: RangeHeaders,
  bytes: number,
  etag: string,
): ByteRange | undefined {
  // A date as condition cannot hold: no answer of ours carries one.
  if (range === undefined || (condition !== undefined && condition !== etag)) {
    return undefined;
  }
  // The parser finds none that satisfies it, where the RFC takes the whole file.
  const lastBytes = Number(/^bytes=\s*-(\d+)\s*$/.exec(range)?.[1]);
  if (lastBytes > bytes) {
    return { start: 0, end: bytes - 1 };
  }
  const ranges = parseRange(bytes, range);
  if (ranges === -1) {
    throw new ProtocolError(
      416,
      'range_not_satisfiable',
      `Range "${range.slice(0, 80)}" is outside the file's bytes 0 to ${bytes - 1}`,
      {
        'content-range': `bytes */${bytes}`,
      },
    );
  }
  const isOne = ranges !== -2 && ranges.type === 'bytes' && ranges.length === 1;
  return isOne ? ranges[0] : undefined;
}

/** Whether a list of entity tags (`If-None-Match`) names this one; compared weakly. */
export function namesTag(list: string | undefined, etag: string): boolean {
  const tags = list?.split(',').map((tag) => tag.trim()) ?? [];
  return ['*', etag, `W/${etag}`].some((tag) => tags.includes(tag));
}

/** Whether a list of entity tags (`If-Match`) has this one; compared strongly. */
export function matchesTag(list: string, etag: string): boolean {
  const tags = list.split(',').map((tag) => tag.trim());
  return tags.includes('*') || tags.includes(etag);
}
