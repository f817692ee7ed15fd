import type { NamedFile } from '../../services/pipeline/job-files.ts';
import type { Job, JobFile } from './job.ts';
import { pictureKey } from './object-keys.ts';

/** The files of a job that callers can download, besides single frames. */
export function filesOf({ files, picture }: Pick<Job, 'files' | 'picture'>): Partial<Record<NamedFile, JobFile>> {
  return picture
    ? { ...files, input_reference: { ...picture, key: pictureKey(picture.id), mediaType: 'image/png' } }
    : files;
}
