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

const flopUnits = [
  [1e15, 'P'],
  [1e12, 'T'],
  [1e9, 'G'],
  [1e6, 'M'],
] as const;

/** A number of floating-point operations for people: `29.2 TFLOP`. */
export function formatFlops(count: number): string {
  const [size, prefix] = flopUnits.find(([least]) => count >= least) ?? [1, ''];
  return `${Number((count / size).toPrecision(3))} ${prefix}FLOP`;
}
