export type HashKind = 'sha256' | 'git-sha1';

/** A repository file as described by the hub. */
export interface HubFile {
  path: string;
  /** Bytes. */
  size: number;
  /** Hash of the content; for files outside LFS, git's blob hash. */
  hash: { kind: HashKind; value: string };
}

/** Where a file of a repository is. */
export interface HubLocation {
  repository: string;
  /** Base URL of `<commit>/<path>` for a file outside the hub. */
  address?: string;
  /** Commit, so that all files belong together even if something is pushed in between. */
  commit: string;
  path: string;
}
