/** Rows under their headings, in columns. */
export function formatTable(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [headings, ...rows];
  const widths = headings.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines
    .map(
      (line) =>
        `${line
          .map((cell, column) => cell.padEnd(widths[column]!))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}

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
