import type { countKeyframes, prepareKeyframes } from './given-keyframes.ts';
import type { preparePicture } from './prepare-picture.ts';

/** What the process can be asked for. */
export interface Decoders {
  preparePicture: typeof preparePicture;
  countKeyframes: typeof countKeyframes;
  prepareKeyframes: typeof prepareKeyframes;
}

export interface DecodingTask {
  name: keyof Decoders;
  /** The field at fault is the first one. */
  args: unknown[];
}

export type DecodingAnswer =
  | { value: unknown; isReusable: boolean }
  | { fault: { code: number; message: string; reason: string; field: string | undefined }; isReusable: boolean };

/** Memory of the whole process, bytes: the largest pictures that are allowed take up to 0.8 GiB, as AVIF. */
export const maxMemoryBytes = 1 << 30;

/** The signal with which a process ends itself when it takes more; others come from a decoder or from outside. */
export const tooMuchMemory = 'SIGUSR2';
