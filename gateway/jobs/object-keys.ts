/**
 * Names in the object store. Each attempt has its own: a worker whose lease was lost cannot touch what its successor
 * recorded.
 */
export function resultKey(id: string, attempt: number, stage: string): string {
  return `${resultsPrefix(id)}${attempt}-${stage}.safetensors`;
}

/** Of a file that callers may get. */
export function fileKey(id: string, attempt: number, name: string): string {
  return `${jobPrefix(id)}files/${attempt}-${name}`;
}

/** Of every result of a job. */
export function resultsPrefix(id: string): string {
  return `${jobPrefix(id)}results/`;
}

/** Of all that belongs to a job. */
export function jobPrefix(id: string): string {
  return `${id}/`;
}
