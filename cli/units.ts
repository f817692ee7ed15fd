const countUnits = [
  [1e9, 'B'],
  [1e6, 'M'],
  [1e3, 'k'],
] as const;

/** A large number for people: `4.14 B`. */
export function formatCount(count: number): string {
  const unit = countUnits.find(([size]) => count >= size);
  return unit === undefined ? String(count) : `${Number((count / unit[0]).toPrecision(3))} ${unit[1]}`;
}

/** A number of bytes for people: `11.2 MB`. */
export function formatBytes(bytes: number): string {
  const unit = formatCount(bytes).replace('B', 'G');
  return unit.includes(' ') ? `${unit}B` : `${unit} B`;
}
