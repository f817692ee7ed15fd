const countUnits = [
  [1e9, 'B'],
  [1e6, 'M'],
  [1e3, 'k'],
] as const;

/** A large number, such as `4.14 B`. */
export function formatCount(count: number): string {
  const unit = countUnits.find(([size]) => count >= size);
  return unit === undefined ? String(count) : `${Number((count / unit[0]).toPrecision(3))} ${unit[1]}`;
}

/** A size, such as `11.2 MB`. */
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

/** Floating-point operations, such as `29.2 TFLOP`. */
export function formatFlops(count: number): string {
  const [size, prefix] = flopUnits.find(([min]) => count >= min) ?? [1, ''];
  return `${Number((count / size).toPrecision(3))} ${prefix}FLOP`;
}

/** A duration, such as `85 ms`, `3.2 s`, `12 min` or `2.5 h`. */
export function formatSeconds(seconds: number): string {
  const [size, unit] = (
    [
      [3600, 'h'],
      [60, 'min'],
      [1, 's'],
    ] as const
  ).find(([min]) => seconds >= 2 * min || (min === 1 && seconds >= 1)) ?? [1e-3, 'ms'];
  return `${Number((seconds / size).toPrecision(2))} ${unit}`;
}
