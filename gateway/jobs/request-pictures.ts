import { createHash, randomUUID } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { Status } from 'nice-grpc-common';
import type { Sql } from 'postgres';
import { FusionError, invalidField, inWords, shown } from '../../services/kit/errors.ts';
import type { JobSettings } from '../../services/pipeline/video-options.ts';
import { ask } from '../database/ask.ts';
import type { Caller } from '../keys/caller.ts';
import { decodeApart } from '../media/decode-apart.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { openVerified, putVerified } from '../storage/verified-object.ts';
import { inTurn } from './decoding-places.ts';
import type { Job, JobFile, JobPicture, NewJob, PictureSource } from './job.ts';
import { wrongState } from './job-errors.ts';
import { pictureKey } from './object-keys.ts';
import { toJob } from './store/job-rows.ts';
import { recordPicture } from './store/pictures.ts';
import { readFrameFile, readJob } from './store/read-jobs.ts';

/** The field with the picture in every API. */
const field = 'input_reference';

type Size = Pick<JobSettings, 'width' | 'height'>;

/** A picture of a video's size. */
export interface PreparedPicture {
  warnings: readonly string[];
  /** The PNG file. */
  load(): Promise<Uint8Array>;
  /** Set if it is stored already. */
  stored?: JobPicture;
}

/** The pictures of one request's jobs. Equal ones are made and stored once. */
export class RequestPictures {
  readonly #sql: Sql;
  readonly #objects: ObjectStore;
  readonly #caller: Caller;
  readonly #signal: AbortSignal;
  readonly #prepared = new Map<string, Promise<PreparedPicture>>();
  readonly #stored = new Map<string, Promise<JobPicture>>();
  readonly #storedIds: string[] = [];

  /** @param signal ends the decoding */
  constructor({ sql, objects }: { sql: Sql; objects: ObjectStore }, caller: Caller, signal: AbortSignal) {
    this.#sql = sql;
    this.#objects = objects;
    this.#caller = caller;
    this.#signal = signal;
  }

  /** Ids of the pictures that {@link store} has begun to store. */
  get storedIds(): readonly string[] {
    return this.#storedIds;
  }

  /**
   * Makes the picture of a job. Throws INVALID_ARGUMENT naming the field for a file that is no usable picture or a frame
   * that does not exist, NOT_FOUND for a video that the caller does not have, and FAILED_PRECONDITION for one that has
   * not succeeded.
   */
  async prepare({ picture, settings }: NewJob): Promise<PreparedPicture | undefined> {
    if (!picture) {
      return undefined;
    }
    const size = { width: settings.width, height: settings.height };
    const key = JSON.stringify([picture.kind === 'frame' ? [picture.video, picture.frame] : picture.sha256, size]);
    const prepared = this.#prepared.get(key) ?? this.#make(picture, size, settings.givenKeyframes);
    this.#prepared.set(key, prepared);
    return prepared;
  }

  /** Stores a picture unless it is stored already. Throws what the database and the object store throw. */
  async store(picture: PreparedPicture): Promise<JobPicture> {
    if (picture.stored) {
      return picture.stored;
    }
    const png = await picture.load();
    const sha256 = createHash('sha256').update(png).digest('hex');
    const stored = this.#stored.get(sha256) ?? this.#put(png);
    this.#stored.set(sha256, stored);
    return stored;
  }

  #keep(stored: JobPicture): PreparedPicture {
    return { warnings: [], load: () => this.#read({ ...stored, key: pictureKey(stored.id) }), stored };
  }

  async #make(source: PictureSource, size: Size, keyframes = 0): Promise<PreparedPicture> {
    if (source.kind === 'keyframes') {
      return prepareGiven(source.files, size, keyframes, this.#signal);
    }
    if (source.kind === 'file') {
      return prepare(source.bytes, size, this.#signal);
    }
    const job = await this.#find(source.video);
    const isSameSize = job.settings.width === size.width && job.settings.height === size.height;
    if (source.frame === undefined && job.picture && isSameSize) {
      return this.#keep(job.picture);
    }
    if (keyframes > 0) {
      const { width, height } = job.settings;
      throw invalidField(
        'keyframes.video_id',
        inWords(`${width}x${height}`),
        `a video of ${size.width}x${size.height}, the same size`,
      );
    }
    return prepare(await this.#readFrom(job, source.frame), size, this.#signal);
  }

  async #find(id: string): Promise<Job> {
    const row = await ask(this.#sql, () => readJob(this.#sql, id, this.#caller));
    if (!row) {
      const message = `\`${field}\` must name one of your videos ("${shown(id)}" was not found)`;
      throw new FusionError(Status.NOT_FOUND, message, { reason: 'NO_SUCH_JOB', field });
    }
    return toJob(row, 0);
  }

  /** A frame of a video, or the picture that it began with, as a file. */
  async #readFrom(job: Job, frame: number | undefined): Promise<Uint8Array> {
    if (frame === undefined) {
      if (!job.picture) {
        const frames = job.frames > 0 ? `a frame from 0 to ${job.frames - 1}` : 'a frame';
        throw invalidField(`${field}.frame`, undefined, `${frames}: the video was made without a picture`);
      }
      return this.#keep(job.picture).load();
    }
    if (job.state !== 'succeeded') {
      const { code, reason, message } = wrongState(job, 'succeeded');
      throw new FusionError(code, `\`${field}\`: ${message}`, { reason, field });
    }
    if (frame >= job.frames) {
      throw invalidField(`${field}.frame`, frame, `a whole number from 0 to ${job.frames - 1}`);
    }
    if (job.settings.keepFrames) {
      const file = await ask(this.#sql, () => readFrameFile(this.#sql, job.id, frame));
      return this.#read(file!);
    }
    const video = job.files.video!;
    const file = await this.#read(video);
    const { readFrame } = await import('../media/read-frame.ts');
    return inTurn([file], () => readFrame(file, video.mediaType, frame), this.#signal);
  }

  async #read(file: Omit<JobFile, 'mediaType'>): Promise<Uint8Array> {
    return buffer(await openVerified(this.#objects, file.key, file).catch(ourFault)).catch(ourFault);
  }

  async #put(png: Uint8Array): Promise<JobPicture> {
    const id = randomUUID();
    this.#storedIds.push(id);
    await ask(this.#sql, () => recordPicture(this.#sql, id));
    const stored = await putVerified(this.#objects, pictureKey(id), png, { mediaType: 'image/png' }).catch(ourFault);
    return { id, ...stored };
  }
}

async function prepareGiven(
  files: readonly Uint8Array[],
  size: Size,
  count: number,
  signal: AbortSignal,
): Promise<PreparedPicture> {
  const decode = () => decodeApart('prepareKeyframes', ['keyframes', files, size, count], signal);
  const { png, warnings } = await inTurn(files, decode, signal);
  return { warnings, load: async () => png };
}

async function prepare(file: Uint8Array, size: Size, signal: AbortSignal): Promise<PreparedPicture> {
  const decode = () => decodeApart('preparePicture', [field, file, size], signal);
  const { png, warnings } = await inTurn([file], decode, signal);
  return { warnings, load: async () => png };
}

/** FAILED_PRECONDITION of the store would blame the caller, and so would NOT_FOUND. */
function ourFault(error: unknown): never {
  if (error instanceof FusionError && error.reason === 'STORAGE_REFUSED') {
    throw new FusionError(Status.INTERNAL, error.message, { reason: 'STORAGE_REFUSED', cause: error });
  }
  if (error instanceof FusionError && error.reason === 'NO_SUCH_OBJECT') {
    throw new FusionError(Status.DATA_LOSS, error.message, { reason: 'OBJECT_DAMAGED', cause: error });
  }
  throw error;
}
