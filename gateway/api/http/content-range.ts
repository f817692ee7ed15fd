import parseRange from 'range-parser';
import { shown } from '../../../services/kit/errors.ts';
import type { ByteRange } from '../../storage/object-store.ts';
import { ProtocolError } from './http-error.ts';

export interface RangeHeaders {
  range?: string | undefined;
  'if-range'?: string | undefined;
}

/**
 * The requested byte range of a file (RFC 9110, section 14); undefined for the whole file, also for multiple ranges,
 * which a server may ignore. Throws 416 if the range lies beyond the file.
 */
export function contentRange(
  { range, 'if-range': condition }: RangeHeaders,
  bytes: number,
  etag: string,
): ByteRange | undefined {
  // A date never matches, because our responses carry none.
  if (range === undefined || (condition !== undefined && condition !== etag)) {
    return undefined;
  }
  // The parser reports this range as unsatisfiable, but the RFC asks for the whole file.
  const lastBytes = Number(/^bytes=\s*-(\d+)\s*$/.exec(range)?.[1]);
  if (lastBytes > bytes) {
    return { start: 0, end: bytes - 1 };
  }
  const ranges = parseRange(bytes, range);
  if (ranges === -1) {
    throw new ProtocolError(
      416,
      'range_not_satisfiable',
      `Range "${shown(range)}" is outside the file's bytes 0 to ${bytes - 1}`,
      {
        'content-range': `bytes */${bytes}`,
      },
    );
  }
  const isOne = ranges !== -2 && ranges.type === 'bytes' && ranges.length === 1;
  return isOne ? ranges[0] : undefined;
}

/** Whether a list of entity tags (`If-None-Match`) contains this one, by weak comparison. */
export function namesTag(list: string | undefined, etag: string): boolean {
  const tags = list?.split(',').map((tag) => tag.trim()) ?? [];
  return ['*', etag, `W/${etag}`].some((tag) => tags.includes(tag));
}

/** Whether a list of entity tags (`If-Match`) contains this one, by strong comparison. */
export function matchesTag(list: string, etag: string): boolean {
  const tags = list.split(',').map((tag) => tag.trim());
  return tags.includes('*') || tags.includes(etag);
}
