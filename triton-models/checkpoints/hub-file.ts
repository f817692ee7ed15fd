/** A repository file as described by the hub. */
export interface HubFile {
  path: string;
  /** Bytes. */
  size: number;
  /** Hash of the content; for files outside LFS, git's blob hash. */
  hash: { kind: 'sha256' | 'git-sha1'; value: string };
}

/** Where a file of a repository is. */
export interface HubLocation {
  repository: string;
  /** Commit, so that all files belong together even if something is pushed in between. */
  commit: string;
  path: string;
}
