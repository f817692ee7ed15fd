/** A time for tables: the local date and time to the minute, or `-`. */
export function formatTime(time: Date | null | undefined): string {
  if (!time) {
    return '-';
  }
  const two = (value: number) => String(value).padStart(2, '0');
  const date = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  return `${date} ${two(time.getHours())}:${two(time.getMinutes())}`;
}

/** Untrusted text on one line, cut to a width, without terminal control characters. */
export function formatText(text: string, width: number): string {
  const plain = text.replace(/[\p{Z}\p{Cc}\p{Cf}]+/gu, ' ').trim();
  const characters = Array.from(plain);
  return characters.length > width ? `${characters.slice(0, width - 1).join('')}…` : plain;
}
