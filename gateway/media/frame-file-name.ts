/** File name of a frame, numbered from 0. */
export function frameFileName(index: number): string {
  return `${String(index).padStart(4, '0')}.png`;
}
