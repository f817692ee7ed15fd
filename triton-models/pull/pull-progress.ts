/** Reports the progress of files, one after the other. */
export interface PullProgress {
  /** A file was already there, unchanged. */
  unchanged(name: string, size: number): void;
  start(name: string, size: number): void;
  /** Bytes received, or found on disk; negative when some turned out to be unusable. */
  advance(count: number, kind: 'fetched' | 'found'): void;
  /** The file is complete. */
  done(): void;
}
