/**
 * Keys in the object store. Each attempt has its own, so a worker that lost its lease cannot touch what its successor
 * recorded.
 */
export function resultKey(id: string, attempt: number, stage: string): string {
  return `${resultsPrefix(id)}${attempt}-${stage}.safetensors`;
}

/** The same for a result that is kept when the job has ended. It is the only object below the key without its last segment. */
export function keptResultKey(id: string, attempt: number, stage: string): string {
  return `${jobPrefix(id)}kept/${attempt}-${stage}/result.safetensors`;
}

/** A key without its last segment. */
export function prefixOf(key: string): string {
  return key.slice(0, key.lastIndexOf('/') + 1);
}

/** Key of a stage's checkpoint. The next one goes to the other of two slots, so that one is whole at any time. */
export function checkpointKey(id: string, attempt: number, stage: string, slot: 0 | 1): string {
  return `${checkpointsPrefix(id)}${attempt}-${stage}-${slot}.safetensors`;
}

/** Prefix of all checkpoints of a job. */
export function checkpointsPrefix(id: string): string {
  return `${resultsPrefix(id)}checkpoints/`;
}

/** Key of a file that callers can download. */
export function fileKey(id: string, attempt: number, name: string): string {
  return `${jobPrefix(id)}files/${attempt}-${name}`;
}

/** Key of a picture that videos begin with. It belongs to no single job. */
export function pictureKey(id: string): string {
  return `${picturePrefix(id)}first-frame.png`;
}

export function picturePrefix(id: string): string {
  return `pictures/${id}/`;
}

/** Prefix of all stage results and checkpoints of a job. */
export function resultsPrefix(id: string): string {
  return `${jobPrefix(id)}results/`;
}

/** Prefix of everything that belongs to a job. */
export function jobPrefix(id: string): string {
  return `${id}/`;
}
