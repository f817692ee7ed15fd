const boxesAround = ['moov', 'trak', 'mdia'];
const boxesWithTimes = ['mvhd', 'tkhd', 'mdhd'];

/**
 * Clears the creation and modification times in an MP4 `moov` box (ISO/IEC 14496-12, 8.2.2, 8.3.2, 8.4.2) in place, so
 * that the same frames give the same file.
 */
export function clearTimes(boxes: Uint8Array): void {
  const view = new DataView(boxes.buffer, boxes.byteOffset, boxes.byteLength);
  for (let start = 0; start + 8 <= boxes.length; ) {
    const size = view.getUint32(start);
    const type = String.fromCharCode(...boxes.subarray(start + 4, start + 8));
    if (size < 8) {
      return;
    }
    if (boxesAround.includes(type)) {
      clearTimes(boxes.subarray(start + 8, start + size));
    } else if (boxesWithTimes.includes(type)) {
      const fieldBytes = boxes[start + 8] === 1 ? 8 : 4;
      boxes.fill(0, start + 12, start + 12 + 2 * fieldBytes);
    }
    start += size;
  }
}
