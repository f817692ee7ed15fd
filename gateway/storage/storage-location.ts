/** A location in a bucket. */
export interface S3Location {
  bucket: string;
  /** Empty, or the first segments of a key. */
  prefix: string;
}

/** What FUSIONFRAMES_STORAGE must be. */
export const allowedStorage = 'a folder that can be created and written to, or s3://bucket/prefix';

const url = /^[a-z][a-z0-9+.-]*:\/\//i;
const s3Url = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/([\w-][\w.-]*(?:\/[\w-][\w.-]*)*)?\/?)?$/;

/** What the location must be, if it is another kind of URL. */
export function storageFault(location: string): string | undefined {
  return url.test(location) && !s3Url.test(location) ? `must be ${allowedStorage}` : undefined;
}

/** The bucket of a location; undefined if it is a folder. */
export function parseS3Location(location: string): S3Location | undefined {
  const [, bucket, prefix = ''] = s3Url.exec(location) ?? [];
  return bucket === undefined ? undefined : { bucket, prefix };
}
