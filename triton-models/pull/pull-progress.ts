/** Hears how files come in, one after the other. */
export interface PullProgress {
  /** A file was there already, unchanged. */
  unchanged(name: string, size: number): void;
  start(name: string, size: number): void;
  /** Bytes of the file that came, or that were found to be there; negative when some proved useless. */
  advance(count: number, kind: 'fetched' | 'found'): void;
  /** The file has its name. */
  done(): void;
}
