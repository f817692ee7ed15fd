import { constants } from 'node:fs';
import { access, mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { invalidField } from '../../services/kit/errors.ts';
import { makeFolder } from '../../services/kit/make-folder.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';
import type { DataFolder } from '../data-folder.ts';
import { FolderStore } from './folder-store.ts';
import type { ObjectStore } from './object-store.ts';
import { allowedStorage, parseS3Location, storageFault } from './storage-location.ts';

/**
 * Opens the storage named by FUSIONFRAMES_STORAGE: a folder or `s3://bucket/prefix`; if empty, a folder in the data
 * folder that only this user can enter. Throws INVALID_ARGUMENT for anything else, and whatever `S3Store.open` throws.
 */
export async function openObjectStore(location: string, dataFolder: DataFolder): Promise<ObjectStore> {
  if (location === '') {
    const folder = join(dataFolder.path, 'files');
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return FolderStore.open(folder, dataFolder.temporary);
  }
  if (storageFault(location) !== undefined) {
    throw invalidField('FUSIONFRAMES_STORAGE', location, allowedStorage);
  }
  const bucket = parseS3Location(location);
  if (bucket) {
    // Loaded only for buckets: the S3 client takes longer to load than all other storage code.
    const { S3Store } = await import('./s3-store.ts');
    return S3Store.open(bucket);
  }
  const folder = resolve(location);
  try {
    await makeFolder(folder);
    await access(folder, constants.W_OK | constants.X_OK);
    return await FolderStore.open(folder);
  } catch (error) {
    throw invalidField('FUSIONFRAMES_STORAGE', location, `${allowedStorage} (${reasonOf(error)})`);
  }
}
