import { type Tensor, tensor } from '../../../services/pipeline/tensor.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import type { JobPicture } from '../job.ts';
import { pictureKey } from '../object-keys.ts';
import { readPatiently, readStored } from './stage-results.ts';

/**
 * The picture that a job's video begins with, uint8 [height, width, 3]. Throws DATA_LOSS when it is missing or has changed,
 * and UNAVAILABLE when the store fails while reading.
 */
export function loadPicture(objects: ObjectStore, picture: JobPicture, signal: AbortSignal): Promise<Tensor<'uint8'>> {
  const stored = { ...picture, key: pictureKey(picture.id) };
  const read = () =>
    readStored(objects, 'The stored picture', stored, async (file) => {
      const { picturePixels } = await import('../../media/prepare-picture.ts');
      const { data, width, height } = await picturePixels(file);
      return tensor('uint8', [height, width, 3], data);
    });
  return readPatiently(read, signal);
}
