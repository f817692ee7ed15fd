/** A file of a repository, as the hub describes it. */
export interface HubFile {
  path: string;
  /** Bytes. */
  size: number;
  /** Of the content; files outside of LFS have the hash that git gives them. */
  hash: { kind: 'sha256' | 'git-sha1'; value: string };
}

/** Where a file of a repository is. */
export interface HubLocation {
  repository: string;
  /** Commit, so that all files belong together whatever is pushed meanwhile. */
  commit: string;
  path: string;
}
