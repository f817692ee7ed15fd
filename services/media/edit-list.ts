import { UnreadableVideo } from './unreadable-video.ts';

/** Reads bytes of a file; fewer at its end. */
export type ReadBytes = (offset: number, length: number) => Promise<Uint8Array>;

interface Box {
  type: string;
  /** Of its content, in the file. */
  start: number;
  end: number;
}

/** More than any index of a short clip. */
const maxBoxes = 1000;

/** The frames of a track that are shown, by mediabunny's timestamps, seconds. */
export interface ShownPart {
  from: number;
  until: number;
}

export const wholeTrack: ShownPart = { from: 0, until: Number.POSITIVE_INFINITY };

/** Less than a unit of any track's timestamps, seconds. */
const tolerance = 1e-7;

export function isShown(timestamp: number, { from, until }: ShownPart): boolean {
  return timestamp > from - tolerance && timestamp < until - tolerance;
}

/**
 * The part of a track that the edit list of an MP4 or MOV file shows; other frames are there only because shown ones need them.
 * Throws an error for a list of several parts, which mediabunny does not read.
 * @param timescale units of the track's timestamps in a second
 */
export async function shownPart(read: ReadBytes, trackId: number, timescale: number): Promise<ShownPart> {
  const moov = await find(read, { type: '', start: 0, end: Number.POSITIVE_INFINITY }, 'moov');
  const mvhd = moov && (await find(read, moov, 'mvhd'));
  if (!mvhd) {
    return wholeTrack;
  }
  const header = await view(read, mvhd);
  const movieTimescale = header.getUint32(header.getUint8(0) === 1 ? 20 : 12);
  for await (const trak of boxesIn(read, moov)) {
    const tkhd = trak.type === 'trak' && (await find(read, trak, 'tkhd'));
    if (!tkhd) {
      continue;
    }
    const track = await view(read, tkhd);
    if (track.getUint32(track.getUint8(0) === 1 ? 20 : 12) === trackId) {
      const edts = await find(read, trak, 'edts');
      const elst = edts && (await find(read, edts, 'elst'));
      return elst ? partOf(await view(read, elst), movieTimescale, timescale) : wholeTrack;
    }
  }
  return wholeTrack;
}

function partOf(list: DataView, movieTimescale: number, timescale: number): ShownPart {
  const isLong = list.getUint8(0) === 1;
  const entryBytes = isLong ? 20 : 12;
  const count = list.getUint32(4);
  if (8 + count * entryBytes > list.byteLength) {
    throw new UnreadableVideo('its edit list is cut short');
  }
  const entries = Array.from({ length: count }, (_, index) => {
    const at = 8 + index * entryBytes;
    return isLong
      ? {
          duration: Number(list.getBigUint64(at)),
          start: Number(list.getBigInt64(at + 8)),
          rate: list.getInt16(at + 16),
        }
      : { duration: list.getUint32(at), start: list.getInt32(at + 4), rate: list.getInt16(at + 8) };
  });
  const shown = entries.filter(({ start }) => start !== -1);
  if (shown.length > 1 || shown.some(({ rate }) => rate !== 1)) {
    const fault = shown.length > 1 ? `has ${shown.length} parts` : 'changes the speed';
    throw new UnreadableVideo(`its edit list ${fault}, which is not supported`);
  }
  const delay = entries.reduce((sum, { duration, start }) => sum + (start === -1 ? duration : 0), 0);
  const duration = shown[0]?.duration ?? 0;
  const from = delay / movieTimescale;
  // Like ffmpeg, which rounds the end to the track's units. Of fragmented files the duration is 0, and means all of it.
  const until = from + Math.round((duration / movieTimescale) * timescale) / timescale;
  return { from, until: duration === 0 ? Number.POSITIVE_INFINITY : until };
}

async function find(read: ReadBytes, parent: Box, type: string): Promise<Box | undefined> {
  for await (const box of boxesIn(read, parent)) {
    if (box.type === type) {
      return box;
    }
  }
  return undefined;
}

async function* boxesIn(read: ReadBytes, { start, end }: Box): AsyncGenerator<Box> {
  for (let at = start, count = 0; at + 8 <= end && count < maxBoxes; count++) {
    const bytes = await read(at, 16);
    if (bytes.length < 8) {
      return;
    }
    const header = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const short = header.getUint32(0);
    const isLong = short === 1 && bytes.length === 16;
    const size = isLong ? Number(header.getBigUint64(8)) : short;
    const type = String.fromCharCode(...bytes.subarray(4, 8));
    if (!/^[\w ©-]{4}$/.test(type) || (size < 8 && size !== 0)) {
      return;
    }
    const next = size === 0 ? end : Math.min(end, at + size);
    yield { type, start: at + (isLong ? 16 : 8), end: next };
    at = next;
  }
}

async function view(read: ReadBytes, { start, end }: Box): Promise<DataView> {
  const bytes = await read(start, Math.min(end - start, 65_536));
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
