/** A measured figure: one line of the table. */
export interface Figure {
  what: string;
  value: number;
  /** Default: a ratio. */
  unit?: string;
  /** Default: none was set. */
  goal?: { most: number } | { least: number };
  /** Its parts, by name with their unit. */
  parts?: Record<string, number>;
  note?: string;
}

/** How a cost grows: one plot. */
export interface Growth {
  what: string;
  /** Axis labels with units: what grows, and what it costs. */
  grows: string;
  costs: string;
  points: { size: number; cost: number; mebibytes?: number }[];
}

/** What a row measured, or why it could not. */
export interface Measured {
  figures?: Figure[];
  growths?: Growth[];
  skipped?: string;
}

/** Exponent k of cost ~ size^k: the slope of a line through the logarithms, by least squares. */
export function exponentOf({ points }: Growth): number {
  const logs = points.map(({ size, cost }) => [Math.log(size), Math.log(cost)] as const);
  const mean = (index: 0 | 1) => logs.reduce((sum, pair) => sum + pair[index], 0) / logs.length;
  const [meanSize, meanCost] = [mean(0), mean(1)];
  const covariance = logs.reduce((sum, [size, cost]) => sum + (size - meanSize) * (cost - meanCost), 0);
  return covariance / logs.reduce((sum, [size]) => sum + (size - meanSize) ** 2, 0);
}

/** Whether a figure meets its goal; undefined without one. */
export function meetsGoal({ value, goal }: Figure): boolean | undefined {
  return goal && ('most' in goal ? value <= goal.most : value >= goal.least);
}

export function goalText({ goal }: Figure): string {
  return goal ? ('most' in goal ? `≤ ${goal.most}` : `≥ ${goal.least}`) : '';
}

/** Three significant digits. */
export function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
