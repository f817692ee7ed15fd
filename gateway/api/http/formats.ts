/** Seconds since 1970, rounded down. */
export function seconds(date: Date): number {
  return Math.floor(date.getTime() / 1000);
}

/** A help text as a sentence. */
export function sentence(help: string): string {
  return `${help[0]!.toUpperCase()}${help.slice(1)}.`;
}
