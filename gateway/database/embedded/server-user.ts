import { chown, readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../../services/kit/errors.ts';

/** The user that runs PostgreSQL when this process is root: PostgreSQL refuses to run as root. */
export interface ServerUser {
  uid: number;
  gid: number;
  name: string;
}

/**
 * Chooses the user that runs the server: the owner of `folder`, or else the system's `postgres` or `nobody`. `undefined` if
 * this process is not root and can run the server itself.
 */
export async function serverUser(folder: string): Promise<ServerUser | undefined> {
  if (process.getuid?.() !== 0) {
    return undefined;
  }
  const users = (await readFile('/etc/passwd', 'utf8').catch(() => ''))
    .split('\n')
    .map((line) => line.split(':'))
    .filter((fields) => fields.length >= 4)
    .map(([name, , uid, gid]) => ({ name: name!, uid: Number(uid), gid: Number(gid) }));
  const owner = await stat(folder).then(
    ({ uid }) => uid,
    () => 0,
  );
  const user =
    users.find(({ uid }) => owner !== 0 && uid === owner) ??
    users.find(({ name }) => name === 'postgres') ??
    users.find(({ name }) => name === 'nobody');
  if (!user) {
    throw new FusionError(
      Status.FAILED_PRECONDITION,
      'PostgreSQL does not run as root, and this system has neither a user postgres nor nobody: run as another user, or set DATABASE_URL',
      { reason: 'NO_SERVER_USER' },
    );
  }
  return user;
}

/** Whether the user can enter `path` and every folder above it. */
export async function canReach(path: string, user: ServerUser): Promise<boolean> {
  return (await obstacle(path, user)) === undefined;
}

/** Throws FAILED_PRECONDITION naming the folder above `path` that the user cannot enter. */
export async function requireReachable(path: string, user: ServerUser): Promise<void> {
  const folder = await obstacle(path, user);
  if (folder !== undefined) {
    throw new FusionError(
      Status.FAILED_PRECONDITION,
      `data folder: PostgreSQL runs as the user ${user.name}, who cannot enter ${folder}: allow it (chmod o+x), choose another folder, or set DATABASE_URL`,
      { reason: 'DATA_FOLDER_OUT_OF_REACH', field: 'data folder' },
    );
  }
}

/** Gives a file or folder to the server's user. */
export async function giveTo(path: string, user: ServerUser | undefined): Promise<void> {
  if (user) {
    await chown(path, user.uid, user.gid);
  }
}

async function obstacle(path: string, user: ServerUser): Promise<string | undefined> {
  for (let folder = resolve(path); ; folder = dirname(folder)) {
    const { mode, uid, gid } = await stat(folder);
    const search = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001;
    if ((mode & search) === 0) {
      return folder;
    }
    if (folder === dirname(folder)) {
      return undefined;
    }
  }
}
