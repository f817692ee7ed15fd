/**
 * Keys in the object store. Each attempt has its own, so a worker that lost its lease cannot touch what its successor
 * recorded.
 */
export function resultKey(id: string, attempt: number, stage: string): string {
  return `${resultsPrefix(id)}${attempt}-${stage}.safetensors`;
}

/** Key of a file that callers can download. */
export function fileKey(id: string, attempt: number, name: string): string {
  return `${jobPrefix(id)}files/${attempt}-${name}`;
}

/** Prefix of all stage results of a job. */
export function resultsPrefix(id: string): string {
  return `${jobPrefix(id)}results/`;
}

/** Prefix of everything that belongs to a job. */
export function jobPrefix(id: string): string {
  return `${id}/`;
}
