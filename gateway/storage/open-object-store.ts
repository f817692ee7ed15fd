import { constants } from 'node:fs';
import { access, mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { invalidField } from '../../services/kit/errors.ts';
import { makeFolder } from '../../services/kit/make-folder.ts';
import type { DataFolder } from '../data-folder.ts';
import { FolderStore } from './folder-store.ts';
import type { ObjectStore } from './object-store.ts';
import { type S3Location, S3Store } from './s3-store.ts';

const allowed = 'a folder that can be made and written to, or s3://bucket/prefix';

/**
 * Opens what FUSIONFRAMES_STORAGE names: a folder, or `s3://bucket/prefix`; empty: a folder in the data folder, which only
 * this user may enter. Throws INVALID_ARGUMENT for anything else, and what {@link S3Store.open} throws.
 */
export async function openObjectStore(location: string, dataFolder: DataFolder): Promise<ObjectStore> {
  if (location === '') {
    const folder = join(dataFolder.path, 'files');
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return FolderStore.open(folder, dataFolder.temporary);
  }
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(location)) {
    return S3Store.open(parseS3Location(location));
  }
  const folder = resolve(location);
  try {
    await makeFolder(folder);
    await access(folder, constants.W_OK | constants.X_OK);
    return await FolderStore.open(folder);
  } catch (error) {
    throw invalidField('FUSIONFRAMES_STORAGE', location, `${allowed} (${(error as Error).message})`);
  }
}

function parseS3Location(location: string): S3Location {
  const parts = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/([\w-][\w.-]*(?:\/[\w-][\w.-]*)*)?\/?)?$/.exec(
    location,
  );
  if (!parts) {
    throw invalidField('FUSIONFRAMES_STORAGE', location, allowed);
  }
  return { bucket: parts[1] as string, prefix: parts[2] ?? '' };
}
